"""A package's export, checked against its own manifest: no server, no registry, nothing written.

What is checked is that everything which the manifest lists is there with both digests and its size, that nothing else
is there, and that the bag's own manifests, or the layout's descriptors, say the same. Who sealed the package is not
known by this: compare the manifest's digest with the one that you were told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from artifactstore.domain.digest import ObjectIdentity
from artifactstore.domain.errors import InvalidPackageError
from artifactstore.domain.manifest import MAX_MANIFEST_BYTES, Manifest
from artifactstore.domain.package import PackageMember
from artifactstore.manifests import bags, layouts
from artifactstore.manifests.containers import Container, FileDigests, Finding, open_container
from artifactstore.manifests.identity import identity_of


@dataclass(slots=True)
class Report:
    """What a check found: the package is whole if `findings` is empty."""

    form: str  # "bagit" or "oci"
    manifest: Manifest | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def manifest_identity(self) -> ObjectIdentity | None:
        """The manifest's digests: what names the package."""
        return None if self.manifest is None else identity_of(self.manifest)


def verify_export(path: Path, progress: Callable[[int], object] = lambda size: None) -> Report:
    """Check a bag or an image layout: a zip or tar archive, or a directory. Each member is read once.

    InvalidPackageError if it is none of these, OSError if it cannot be opened; what else is wrong is in the report.
    """
    with open_container(path, progress) as container:
        check, form, base = _form(path, container)
        report = Report(form, findings=list(container.findings))
        for other in container.sizes:
            if not other.startswith(base):
                report.findings.append(Finding(other, "lies beside the package"))
        try:
            check(container, base, report)
        except InvalidPackageError as error:
            report.findings.append(Finding(error.field or "", error.detail))
        return report


def _form(path: Path, container: Container) -> tuple[Callable[[Container, str, Report], None], str, str]:
    found = [(_check_bag, "bagit", base) for base in bags.find_base(container, bags.DECLARATION)]
    found += [(_check_layout, "oci", base) for base in bags.find_base(container, layouts.LAYOUT_FILE)]
    found = [item for item in found if item[2] == ""] or found  # a member of a bag may have the name of such a file
    if len(found) > 1:
        raise InvalidPackageError(f"{path} holds more than one bag or image layout")
    if not found:
        raise InvalidPackageError(
            f"{path} holds neither a bag ({bags.DECLARATION}) nor an image layout ({layouts.LAYOUT_FILE})"
        )
    return found[0]


def _manifest(encoded: bytes) -> Manifest:
    try:
        return Manifest.parse(encoded)
    except InvalidPackageError as error:
        where = "the package's manifest" + (f", {error.field}" if error.field else "")
        raise InvalidPackageError(error.detail, field=where) from None


def _check_bag(container: Container, base: str, report: Report) -> None:
    report.manifest = _manifest(container.read(base + bags.STATEMENT, MAX_MANIFEST_BYTES))
    members = {member.name: member for member in report.manifest.contents.members}
    bag = bags.read_bag(container, base, {name: member.identity.size_bytes for name, member in members.items()})
    report.findings += bag.findings
    faulty = {finding.path for finding in bag.findings}
    for name, member in members.items():
        path = bags.PAYLOAD + name
        if base + path not in container.sizes:
            _once(report, faulty, path, "is missing")
        elif name not in bag.payload:
            _once(report, faulty, path, "is not vouched for by the bag")
        elif bag.payload[name] != member.identity:
            _once(report, faulty, path, "is not what the package's manifest says")
    for path in container.sizes:
        path = path.removeprefix(base)
        listed = path.removeprefix(bags.PAYLOAD) in members if path.startswith(bags.PAYLOAD) else path in bag.listed
        if not listed:
            _once(report, faulty, path, "is not listed")


def _check_layout(container: Container, base: str, report: Report) -> None:
    layout = layouts.read_layout(container, base)
    report.manifest = _manifest(layout.statement)
    faulty: set[str] = set()
    checked: dict[str, ObjectIdentity | None] = {}
    members = report.manifest.contents.members
    for member in members:
        blob = layout.titled.get(member.name)
        if blob is None:
            _once(report, faulty, member.name, "has no layer")
        elif (blob.sha256, blob.size_bytes) != (member.identity.sha256, member.identity.size_bytes):
            _once(report, faulty, member.name, "has a layer that is not what the package's manifest says")
        else:
            if blob.path not in checked:
                checked[blob.path] = _blob_identity(container, base + blob.path, member, report)
            found = checked[blob.path]
            if found is not None and found != member.identity:
                _once(report, faulty, member.name, "is not what the package's manifest says")
    for title in layout.titled.keys() - {member.name for member in members}:
        _once(report, faulty, title, "has a layer and is not listed")
    for path in container.sizes:
        if path.removeprefix(base) not in layout.described:
            _once(report, faulty, path.removeprefix(base), "is not listed")


def _blob_identity(container: Container, path: str, member: PackageMember, report: Report) -> ObjectIdentity | None:
    """What a blob is; None, and a finding, if that cannot be found out."""
    size = container.sizes.get(path)
    try:
        if size is None:
            raise InvalidPackageError("is missing")
        if size != member.identity.size_bytes:
            raise InvalidPackageError(f"has {size} bytes, and not {member.identity.size_bytes}")
        return FileDigests.of(container.chunks(path)).identity
    except InvalidPackageError as error:
        report.findings.append(Finding(path, f"({member.name}) {error.detail}"))
        return None


def _once(report: Report, faulty: set[str], path: str, problem: str) -> None:
    """One line for each file: the first thing that is wrong with it."""
    if path not in faulty:
        faulty.add(path)
        report.findings.append(Finding(path, problem))
