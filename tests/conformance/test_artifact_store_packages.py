"""What every `spi.ArtifactStore` does with packages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import UUID, uuid4
from zipfile import ZipFile

import pytest

import artifactstore
from artifactstore import ArtifactMetadata, Digest
from artifactstore.domain.artifact import Package, SealedMember
from artifactstore.domain.errors import (
    ArtifactStoreError,
    InvalidInputError,
    InvalidNameError,
    InvalidPackageError,
    InvalidQueryError,
    ObjectDamagedError,
    ObjectInUseError,
    PackageNotFoundError,
    PreconditionFailedError,
)
from artifactstore.domain.manifest import Manifest
from artifactstore.domain.package import Completeness, MemberSource, PackageDescription, Producer, Related
from artifactstore.manifests.exports import ExportFormat
from artifactstore.manifests.identity import identity_of
from artifactstore.manifests.verification import verify_export
from artifactstore.spi import ArtifactStore, ExportedPackage
from tests.conftest import GatewayFactory
from tests.packages import FILES, identity_of_bytes


@dataclass(frozen=True)
class Bound:
    """A store under test, and the root that it comes down to."""

    store: ArtifactStore
    root: Path

    def damage(self, data: bytes) -> None:
        """Give an object's copy other bytes, as many."""
        digest = identity_of_bytes(data).blake3
        path = self.root / "objects" / "blake3" / digest.hex[:2] / digest.hex
        path.chmod(0o640)
        path.write_bytes(bytes(len(data)))


@pytest.fixture(params=["root", "server"])
async def bound(request: pytest.FixtureRequest, tmp_path: Path, start_gateway: GatewayFactory) -> AsyncIterator[Bound]:
    root = tmp_path / "root"
    where: str | Path = root if request.param == "root" else (await start_gateway(root)).url
    async with artifactstore.open(where) as store:
        yield Bound(store, root)


@pytest.fixture
def store(bound: Bound) -> ArtifactStore:
    return bound.store


async def stored(store: ArtifactStore) -> list[MemberSource]:
    """FILES as objects, named as members."""
    for data in FILES.values():
        await store.put_object(data)
    return [MemberSource(identity_of_bytes(data).sha256, name) for name, data in FILES.items()]


async def read(export: ExportedPackage) -> bytes:
    assert isinstance(export, ExportedPackage)
    async with export:
        data = b"".join([chunk async for chunk in export.chunks()])
    assert len(data) == export.size_bytes
    return data


async def manifest_of(store: ArtifactStore, digest: Digest) -> Manifest:
    async with await store.open_object(digest) as content:
        return Manifest.parse(b"".join([chunk async for chunk in content.chunks()]))


SAID = PackageDescription(
    label="1.4.0",
    completeness=Completeness.PARTIAL,
    completeness_note="the second run was cut off",
    producer=Producer("guide-board", "2.1", "https://example.org/guide-board"),
    related=(Related("input/source", identity_of_bytes(b"source").sha256),),
    retention="long",
)


async def test_what_is_said_is_sealed_in_the_manifest(store: ArtifactStore) -> None:
    package, created = await store.seal_package("ci", "evidence/run", await stored(store), description=SAID)
    assert created
    assert (package.namespace, package.name, package.members) == ("ci", "evidence/run", len(FILES))
    assert package.size_bytes == sum(map(len, FILES.values()))
    manifest = await manifest_of(store, package.manifest.blake3)
    assert identity_of(manifest) == package.manifest
    contents = manifest.contents
    assert {member.name: member.identity for member in contents.members} == {
        name: identity_of_bytes(data) for name, data in FILES.items()
    }
    for field in ("label", "completeness", "completeness_note", "producer", "related", "retention"):
        assert getattr(contents, field) == getattr(SAID, field)
    assert await store.package(package.id) == package


async def test_the_same_again_is_the_same_package(store: ArtifactStore) -> None:
    members = await stored(store)
    first, _ = await store.seal_package("ci", "evidence/run", members)
    events = await store.events(limit=1000)
    again, created = await store.seal_package("ci", "evidence/run", members[::-1])
    assert (again, created) == (first, False)
    assert [event.type for event in events].count("package.sealed") == 1
    assert not [event for event in await store.events(after=events[-1].seq) if event.type == "package.sealed"]


async def test_an_artifact_keeps_its_name_its_type_and_its_id(store: ArtifactStore) -> None:
    metadata = ArtifactMetadata(media_type="application/xml")
    artifact, _ = await store.put_file("ci", "run/17/report.xml", b"<report/>", metadata=metadata)
    members = [MemberSource(artifact.id), MemberSource(artifact.id, "copy.txt", "text/plain")]
    package, _ = await store.seal_package("ci", "run", members)
    assert await store.members(package.id) == (
        SealedMember("copy.txt", artifact.identity, "text/plain", artifact.id),
        SealedMember("report.xml", artifact.identity, "application/xml", artifact.id),
    )
    manifest = await manifest_of(store, package.manifest.blake3)
    assert [member.media_type for member in manifest.contents.members] == ["text/plain", "application/xml"]


async def test_members_are_in_the_order_of_the_manifest(store: ArtifactStore) -> None:
    package, _ = await store.seal_package("ci", "run", await stored(store))
    names = [member.name for member in await store.members(package.id)]
    assert names == sorted(FILES, key=str.encode)


async def test_what_a_package_holds_cannot_be_deleted(store: ArtifactStore) -> None:
    package, _ = await store.seal_package("ci", "run", await stored(store))
    for digest in (package.manifest.blake3, identity_of_bytes(b"<report/>").blake3):
        with pytest.raises(ObjectInUseError):
            await store.delete_object(digest)


async def test_a_package_supersedes_one_by_its_manifest(store: ArtifactStore) -> None:
    members = await stored(store)
    first, _ = await store.seal_package("ci", "run", members[:2])
    second, created = await store.seal_package("ci", "run", members, supersedes=first.id)
    assert created
    assert second.supersedes == first.id
    assert (await store.package(first.id)).superseded_by == second.id
    manifest = await manifest_of(store, second.manifest.blake3)
    assert manifest.contents.supersedes == (first.manifest.blake3,)
    assert await store.seal_package("ci", "run", members, supersedes=first.id) == (second, False)
    with pytest.raises(PreconditionFailedError, match=str(second.id)):
        await store.seal_package("ci", "run", members[:3], supersedes=first.id)


async def test_a_refused_seal_stores_nothing(store: ArtifactStore) -> None:
    members = await stored(store)
    first, _ = await store.seal_package("ci", "run", members[:2])
    await store.seal_package("ci", "run", members, supersedes=first.id)
    before = await store.events(limit=1000)
    missing = MemberSource(identity_of_bytes(b"nowhere").blake3, "missing")
    for refused, error in (
        (store.seal_package("ci", "run", members[:3], supersedes=first.id), PreconditionFailedError),
        (store.seal_package("other", "run", members, supersedes=first.id), PackageNotFoundError),
        (store.seal_package("ci", "run", members, supersedes=uuid4()), PackageNotFoundError),
        (store.seal_package("ci", "run", [*members, missing]), InvalidPackageError),
        (store.seal_package("ci", "run", [*members, members[0]]), InvalidPackageError),
        (store.seal_package("ci", "run", []), InvalidPackageError),
        (store.seal_package("CI", "run", members), InvalidInputError),
    ):
        with pytest.raises(error):
            await refused
    assert await store.events(limit=1000) == before, "no manifest is left as an object that nothing refers to"


async def test_what_is_superseded_is_in_the_namespace(store: ArtifactStore) -> None:
    members = await stored(store)
    first, _ = await store.seal_package("ci", "run", members)
    for namespace, earlier in (("other", first.id), ("ci", uuid4())):
        with pytest.raises(PackageNotFoundError):
            await store.seal_package(namespace, "run", members, supersedes=earlier)


REPORT = identity_of_bytes(b"<report/>").blake3
NOWHERE = Digest.blake3(bytes(32))


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ([], "members"),
        ([MemberSource(REPORT, "a"), MemberSource(NOWHERE, "b")], "members[1].name"),
        ([MemberSource(REPORT, "a"), MemberSource(UUID(int=0), "b")], "members[1].name"),
        ([MemberSource(REPORT, "a"), MemberSource(REPORT, "a")], "members[1].name"),
        ([MemberSource(REPORT, "a"), MemberSource(REPORT, "A")], "members[1].name"),
        ([MemberSource(REPORT, "a"), MemberSource(REPORT, "A/b")], "members[1].name"),
        ([MemberSource(REPORT, "../a")], "members[0].name"),
        ([MemberSource(REPORT, "nul.txt")], "members[0].name"),
        ([MemberSource(REPORT)], "members[0].name"),
        ([MemberSource(REPORT, "a", "no type")], "members[0].media_type"),
    ],
)
async def test_members_that_cannot_be(store: ArtifactStore, members: list[MemberSource], field: str) -> None:
    await stored(store)
    head = len(await store.events(limit=1000))
    with pytest.raises(InvalidPackageError) as refused:
        await store.seal_package("ci", "run", members)
    assert refused.value.field == field
    assert len(await store.events(limit=1000)) == head  # nothing was stored, no manifest either


async def test_a_deleted_artifact_is_no_member(store: ArtifactStore) -> None:
    artifact, _ = await store.put_file("ci", "report.xml", b"<report/>")
    await store.delete_file("ci", "report.xml")
    with pytest.raises(InvalidPackageError, match="deleted"):
        await store.seal_package("ci", "run", [MemberSource(artifact.id)])


async def test_a_damaged_member_is_not_sealed(bound: Bound) -> None:
    members = await stored(bound.store)
    bound.damage(b"<report/>")
    await bound.store.verify_object(REPORT)
    with pytest.raises(ObjectDamagedError):
        await bound.store.seal_package("ci", "run", members)


async def test_packages_are_listed_in_the_order_of_sealing(store: ArtifactStore) -> None:
    members = await stored(store)
    sealed = [
        (await store.seal_package(namespace, name, members))[0]
        for namespace, name in (("b", "x"), ("a", "y"), ("a", "x"), ("b", "y"))
    ]
    seen: list[Package] = []
    after = 0
    while (page := await store.packages(after=after, limit=3)).items:
        seen += page.items
        after = page.next
    assert seen == sealed
    assert page.next == after
    assert (await store.packages(namespace="a")).items == (sealed[1], sealed[2])
    assert (await store.packages(name="x")).items == (sealed[0], sealed[2])
    assert (await store.packages(namespace="b", name="y")).items == (sealed[3],)


async def test_questions_that_cannot_be(store: ArtifactStore) -> None:
    for limit in (0, 1001):
        with pytest.raises(InvalidQueryError):
            await store.packages(limit=limit)
    with pytest.raises(InvalidNameError):
        await store.packages(namespace="A")
    nobody = uuid4()
    with pytest.raises(PackageNotFoundError):
        await store.package(nobody)
    with pytest.raises(PackageNotFoundError):
        await store.members(nobody)
    with pytest.raises(PackageNotFoundError):
        await store.open_export(nobody, ExportFormat.OCI)


@pytest.mark.parametrize("form", ExportFormat)
async def test_an_export_is_the_package(store: ArtifactStore, form: ExportFormat, tmp_path: Path) -> None:
    package, _ = await store.seal_package("ci", "run", await stored(store), description=SAID)
    export = await store.open_export(package.id, form)
    assert export.filename.startswith(f"package-{package.manifest.sha256.hex[:16]}.")
    assert export.media_type == ("application/zip" if form is ExportFormat.BAGIT_ZIP else "application/x-tar")
    file = tmp_path / export.filename
    file.write_bytes(await read(export))
    report = verify_export(file)
    assert (report.findings, report.manifest_identity) == ([], package.manifest)
    assert await read(await store.open_export(package.id, form)) == file.read_bytes()


async def test_an_export_can_be_left_in_the_middle(store: ArtifactStore) -> None:
    package, _ = await store.seal_package("ci", "run", await stored(store))
    async with await store.open_export(package.id, ExportFormat.BAGIT_TAR) as export:
        async for _ in export.chunks():
            break
    assert ZipFile(BytesIO(await read(await store.open_export(package.id, ExportFormat.BAGIT_ZIP)))).testzip() is None


async def test_members_that_were_exported_were_read(store: ArtifactStore) -> None:
    artifact, _ = await store.put_file("ci", "report.xml", b"<report/>")
    package, _ = await store.seal_package("ci", "run", [MemberSource(artifact.id)])
    assert await store.retrievals(artifact.id) == ()
    await read(await store.open_export(package.id, ExportFormat.OCI))
    (found,) = await store.retrievals(artifact.id)
    assert (found.count, found.size_bytes) == (1, len(b"<report/>"))


async def test_a_member_known_to_be_damaged_refuses_the_export(bound: Bound) -> None:
    package, _ = await bound.store.seal_package("ci", "run", await stored(bound.store))
    bound.damage(b"<report/>")
    await bound.store.verify_object(REPORT)
    with pytest.raises(ObjectDamagedError, match="copy of report"):
        await bound.store.open_export(package.id, ExportFormat.BAGIT_ZIP)


async def test_a_member_found_damaged_breaks_the_export_off(bound: Bound) -> None:
    package, _ = await bound.store.seal_package("ci", "run", await stored(bound.store))
    bound.damage(b"<report/>")
    async with await bound.store.open_export(package.id, ExportFormat.BAGIT_ZIP) as export:
        received = 0
        with pytest.raises(ArtifactStoreError):
            async for chunk in export.chunks():
                received += len(chunk)
        assert received < export.size_bytes
