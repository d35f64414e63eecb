"""`package`: sets of files, sealed, found, read and checked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from artifactstore.cli.addresses import ADDRESS, Address, meant
from artifactstore.cli.descriptions import describing, description_of
from artifactstore.cli.outputs import refuse_existing, whole_file
from artifactstore.cli.progress import bar, counted
from artifactstore.cli.target import Target, naming, with_target
from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import identity_document, member_document, package_document
from artifactstore.domain.package import MemberSource

if TYPE_CHECKING:
    from artifactstore.domain.artifact import Package
    from artifactstore.manifests.containers import Finding
    from artifactstore.spi import ArtifactStore

_PAGE = 500
_FORMATS = ("bagit-zip", "bagit-tar", "oci")


@click.group()
def package() -> None:
    """Work with packages: sealed sets of files with a manifest."""


def _package_name(address: Address) -> tuple[str, str]:
    if not isinstance(address, tuple):
        raise click.UsageError("a package's name is written NAMESPACE/NAME")
    return address


def _print_package(target: Target, package: Package, created: bool, **more: object) -> None:
    what = f"{package.namespace}/{package.name}, {package.members} members"
    text = f"{package.id}  {package.manifest.sha256}  {what}{'' if created else ', sealed already'}"
    target.print({**package_document(package), "created": created, **more}, text)


@package.command("seal")
@click.argument("name", metavar="NAMESPACE/NAME", type=ADDRESS)
@click.argument("members", metavar="[MEMBER=]ADDRESS...", nargs=-1, required=True)
@describing
@with_target
def seal(target: Target, name: Address, members: tuple[str, ...], supersedes: UUID | None, **said: Any) -> None:
    """Seal what is stored as a package, and print its id and its manifest's digest.

    Each member is an ADDRESS, with the name that it has in the package before it: report.xml=sha256:HEX. An artifact
    keeps the last segment of its own name where none is given; of NAMESPACE/NAME, the latest version is sealed. The
    same package again is not sealed twice.
    """
    namespace, package_name = _package_name(name)
    with meant():
        description = description_of(**said)
    given = [_member(text) for text in members]

    async def work(store: ArtifactStore) -> None:
        sources = [
            MemberSource((await store.file(*address)).id if isinstance(address, tuple) else address, member)
            for member, address in given
        ]
        sealed, created = await store.seal_package(
            namespace, package_name, sources, description=description, supersedes=supersedes
        )
        _print_package(target, sealed, created)

    target.run(work)


def _member(text: str) -> tuple[str | None, Address]:
    member, equals, address = text.partition("=")
    if not equals:
        member, address = "", text
    parsed = ADDRESS.convert(address, None, click.get_current_context())
    if isinstance(parsed, Digest) and not member:
        raise click.UsageError(f"a digest has no name: write MEMBER={address}")
    return member or None, parsed


@package.command("ingest")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name", metavar="NAMESPACE/NAME", type=ADDRESS)
@click.option(
    "--exclude",
    "excluded",
    metavar="PATTERN",
    multiple=True,
    help="Leave out files and directories of such names, as a shell matches them; may be repeated.",
)
@click.option("--kind", help="What the files are, as artifacts, such as evidence.")
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="A label of theirs; may be repeated.")
@click.option("--provenance", metavar="JSON|@FILE|DIGEST", help="Where they come from.")
@describing
@with_target
def ingest(
    target: Target,
    directory: Path,
    name: Address,
    excluded: tuple[str, ...],
    kind: str | None,
    labels: tuple[str, ...],
    provenance: str | None,
    supersedes: UUID | None,
    **said: Any,
) -> None:
    """Store the files of DIRECTORY, those that are not there yet, and seal them as a package.

    A directory with a bagit.txt is a bag: it is checked first, and its payload is what is sealed. Hidden files are
    taken as all others; symbolic links and what is no file are refused, unless they are left out by --exclude. When
    anything is wrong, it is one line each, exit status 1, and nothing is stored.

    With --kind, --label or --provenance each file is recorded as an artifact besides, under the package's name and its
    own, so that searches find it. Interrupted, say the same again.
    """
    from artifactstore.cli.ingest import Directory, Sending
    from artifactstore.cli.transfer import metadata_of

    namespace, package_name = _package_name(name)
    with meant():
        description = description_of(**said)
        metadata = metadata_of(
            labels, provenance, media_type=names.DEFAULT_MEDIA_TYPE, kind=kind, retention=description.retention
        )
    described = metadata if kind or labels or provenance else None

    with Directory(directory, excluded, quiet=target.as_json) as opened:
        listing = opened.read(namespace, package_name)
        if listing.findings:
            _print_findings(target, listing.findings)
            raise click.ClickException(f"{directory} cannot be sealed as it is; nothing was stored")

        async def work(store: ArtifactStore) -> None:
            sending = Sending(store, namespace, package_name, described, asks=target.settings.server is None)
            members = await opened.store(listing, sending)
            sealed, created = await store.seal_package(
                namespace, package_name, members, description=description, supersedes=supersedes
            )
            _print_package(target, sealed, created, stored=sending.created)

        target.run(work)


def _print_findings(target: Target, findings: list[Finding]) -> None:
    document = {"findings": [{"path": finding.path, "problem": finding.problem} for finding in findings]}
    target.print(document, "\n".join(map(str, findings)))


@package.command("ls")
@click.argument("where", metavar="[NAMESPACE[/NAME]]", required=False)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@with_target
def ls(target: Target, where: str | None, limit: int | None) -> None:
    """List packages in the order of their sealing.

    Of each: its id, how many members it has, their size in bytes, when it was sealed, its name.
    """
    namespace, _, name = (where or "").partition("/")
    with meant():
        names.check_search(namespace or None, name or None, None)

    async def work(store: ArtifactStore) -> None:
        after, left = 0, limit
        while left != 0:
            page = await store.packages(
                namespace=namespace or None,
                name=name or None,
                after=after,
                limit=_PAGE if left is None else min(_PAGE, left),
            )
            if not page.items:
                return
            for item in page.items:
                text = f"{item.id}  {item.members:>6}  {item.size_bytes:>14}  {item.created_at}  "
                target.print(package_document(item), f"{text}{item.namespace}/{item.name}")
            after, left = page.next, None if left is None else left - len(page.items)

    target.run(work, read_only=True)


@package.command("show")
@click.argument("package_id", metavar="ID", type=click.UUID)
@with_target
def show(target: Target, package_id: UUID) -> None:
    """Show a package's record and its members."""

    async def work(store: ArtifactStore) -> None:
        found = await store.package(package_id)
        members = await store.members(package_id)
        record = package_document(found)
        shown = {**record, "manifest": str(found.manifest.sha256)}
        lines = [f"{name:<14} {'-' if value is None else value}" for name, value in shown.items()]
        lines += [f"{item.identity.size_bytes:>14}  {item.identity.sha256}  {item.name}" for item in members]
        target.print({**record, "members": [member_document(item) for item in members]}, "\n".join(lines))

    target.run(work, read_only=True)


@package.command("export")
@click.argument("package_id", metavar="ID", type=click.UUID)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), required=True, help="A bag, zipped or not, or an OCI image layout."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The file to write, or - for standard output (default: named by the package's digest).",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@with_target
def export(target: Target, package_id: UUID, form: str, output: Path | None, force: bool) -> None:
    """Write a package as one file, which `package verify` and other tools check. It gets its name when it is whole."""

    async def work(store: ArtifactStore) -> None:
        from artifactstore.manifests.exports import ExportFormat

        async with await store.open_export(package_id, ExportFormat(form)) as exported:
            path = output or Path(exported.filename)
            with bar(exported.size_bytes, str(path), quiet=target.as_json) as shown:
                stream = counted(exported.chunks(), shown)
                if str(output) == "-":
                    with naming("standard output"):
                        async for chunk in stream:
                            sys.stdout.buffer.write(chunk)
                        sys.stdout.buffer.flush()
                    return
                refuse_existing(path, force=force)
                with whole_file(path) as file:
                    async for chunk in stream:
                        file.write(chunk)
        target.print({"output": str(path), "size_bytes": exported.size_bytes}, f"{exported.size_bytes}  {path}")

    target.run_recording(work)


@package.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document.")
def verify(file: Path, as_json: bool) -> None:
    """Check an exported package: a bag (zip, tar or directory) or an OCI image layout (tar or directory).

    Neither a server nor a root is needed, and nothing is unpacked. Every file is digested and compared with the
    package's manifest. What is wrong is one line each, with exit status 1. Compare the manifest's digest, which is
    printed, with the one that you know the package by.
    """
    from artifactstore.manifests.containers import printable
    from artifactstore.manifests.verification import verify_export

    with bar(None if file.is_dir() else file.stat().st_size, "checked", quiet=as_json) as shown:
        report = verify_export(file, shown.update)
    contents = None if report.manifest is None else report.manifest.contents
    identity = report.manifest_identity
    document = {
        "verified": not report.findings,
        "form": report.form,
        "manifest": None if identity is None else identity_document(identity),
        "namespace": None if contents is None else contents.namespace,
        "name": None if contents is None else contents.name,
        "members": None if contents is None else len(contents.members),
        "findings": [{"path": finding.path, "problem": finding.problem} for finding in report.findings],
    }
    lines = [str(finding) for finding in report.findings]
    if not lines and contents is not None and identity is not None:
        what = f"{printable(f'{contents.namespace}/{contents.name}')}, {len(contents.members)} members"
        lines.append(f"ok {identity.sha256} {identity.blake3} {what}")
    with naming("standard output"):
        click.echo(json.dumps(document) if as_json else "\n".join(lines))
    if report.findings:
        raise click.ClickException(f"{file} is not the package that its manifest describes")
