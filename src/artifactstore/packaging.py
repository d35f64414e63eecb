"""Packages over a local root: sealed from what is stored, and streamed out as one file."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from artifactstore.content import LocalContent, refuse_damaged
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ObjectRecord, Package, SealedMember
from artifactstore.domain.caller import Caller
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import (
    InvalidPackageError,
    NotFoundError,
    ObjectDamagedError,
    PackageNotFoundError,
    PreconditionFailedError,
)
from artifactstore.domain.manifest import Manifest
from artifactstore.domain.once import Once
from artifactstore.domain.package import MAX_MEMBERS, MemberSource, PackageContents, PackageDescription, PackageMember
from artifactstore.domain.ranges import ByteRange
from artifactstore.domain.token import Scope
from artifactstore.hashing import dual_digest
from artifactstore.manifests.exports import Export, ExportFormat, export_of
from artifactstore.registry.events import Member
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import check_after, check_limit
from artifactstore.spi import PackagePage, StoredObject

#: So many members are looked up at once.
_LOOKUPS = 500
#: A manifest of more members is written, or read, in a thread.
_FEW = 100


class Packaging(ABC):
    """The part of the store that makes packages of what the rest has stored."""

    registry: Registry
    caller: Caller

    @abstractmethod
    async def put_object(self, source: bytes, *, namespace: str) -> StoredObject:
        """Store bytes durably."""
        ...

    @abstractmethod
    async def record(self, digest: Digest) -> ObjectRecord:
        """The record of an object that is present, and that the caller may read; ObjectNotFoundError."""
        ...

    @abstractmethod
    async def trusted_record(self, digest: Digest) -> ObjectRecord:
        """The same of an object that the caller was led to by what they may read."""
        ...

    @abstractmethod
    async def live_artifact(self, artifact_id: UUID) -> Artifact:
        """An artifact that is not deleted; ArtifactNotFoundError."""
        ...

    @abstractmethod
    async def open_record(
        self, record: ObjectRecord, byte_range: ByteRange | None = None, *, artifact_id: UUID | None = None
    ) -> LocalContent:
        """The bytes of an object."""
        ...

    async def seal_package(
        self,
        namespace: str,
        name: str,
        members: Sequence[MemberSource],
        *,
        description: PackageDescription | None = None,
        supersedes: UUID | None = None,
        once: Once[tuple[Package, bool]] | None = None,
    ) -> tuple[Package, bool]:
        """Seal members that are stored as a package, as `spi.ArtifactStore.seal_package` says.

        The manifest is stored first, durably, as an object of the namespace; then one event seals the package. What
        can be refused is refused before that. Only what changes in between leaves the manifest, an object that nothing
        refers to: it is not deleted, since somebody may have uploaded the same bytes meanwhile.
        """
        self.caller.require(Scope.WRITE, names.check_namespace(namespace))
        self.caller.require(Scope.READ, namespace)  # sealing shows what is there
        if not 1 <= len(members) <= MAX_MEMBERS:
            raise InvalidPackageError(f"a package has 1 to {MAX_MEMBERS} members, not {len(members)}", field="members")
        said = description or PackageDescription()
        resolved: list[_Resolved] = []
        for begin in range(0, len(members), _LOOKUPS):
            lookups = (self._resolved(index, members[index]) for index in range(begin, len(members))[:_LOOKUPS])
            resolved += _all_or_first(await asyncio.gather(*lookups, return_exceptions=True))
        earlier = None if supersedes is None else await self._superseded(supersedes, namespace)
        manifest = await _in_thread_if_many(
            len(members),
            Manifest.of,
            PackageContents(
                namespace,
                name,
                tuple(each.member for each in resolved),
                said.label,
                said.completeness,
                said.completeness_note,
                said.producer,
                said.related,
                () if earlier is None else (earlier.manifest.blake3,),
                said.retention,
            ),
        )
        if earlier is not None:
            await self._check_unsuperseded(earlier, manifest)
        artifact_ids = {each.member.name: each.artifact_id for each in resolved}
        sealed = tuple(
            Member(
                member.name,
                member.identity.blake3,
                member.media_type or names.DEFAULT_MEDIA_TYPE,
                artifact_ids[member.name],
            )
            for member in manifest.contents.members
        )
        stored = await self.put_object(manifest.encoded, namespace=namespace)
        return await self.registry.seal_package(
            namespace,
            name,
            stored.identity.blake3,
            sealed,
            supersedes=supersedes,
            actor=self.caller.actor,
            once=once,
        )

    async def _resolved(self, index: int, given: MemberSource) -> _Resolved:
        field = f"members[{index}].name"
        try:
            if isinstance(given.source, UUID):
                artifact = await self.live_artifact(given.source)
                record = await self.trusted_record(artifact.identity.blake3)
            else:
                artifact, record = None, await self.record(given.source)
        except NotFoundError as error:
            raise InvalidPackageError(
                f"{given.name or 'a member'} cannot be sealed: {error.detail}", field=field
            ) from error
        refuse_damaged(record)
        if artifact is None:
            if given.name is None:
                raise InvalidPackageError("a member that is named by a digest needs a name", field=field)
            return _Resolved(PackageMember(given.name, record.identity, given.media_type), None)
        name = artifact.name.rpartition("/")[2] if given.name is None else given.name
        media_type = given.media_type or artifact.metadata.media_type
        return _Resolved(PackageMember(name, record.identity, media_type), artifact.id)

    async def _superseded(self, package_id: UUID, namespace: str) -> Package:
        """An earlier package. A manifest names it by the BLAKE3 digest of its own: one form, so that it has one."""
        earlier = await self.package(package_id)
        if earlier.namespace != namespace:
            raise PackageNotFoundError(f"there is no package {package_id} in {namespace} to supersede")
        return earlier

    async def _check_unsuperseded(self, earlier: Package, manifest: Manifest) -> None:
        """PreconditionFailedError if another package than that of `manifest` supersedes it already."""
        if earlier.superseded_by is None:
            return
        successor = await self.package(earlier.superseded_by)
        if successor.manifest.blake3.value != dual_digest(manifest.encoded).blake3:
            raise PreconditionFailedError(f"package {earlier.id} is superseded by {successor.id} already")

    async def package(self, package_id: UUID) -> Package:
        """One package, which may be read with all its members by who may read its namespace; PackageNotFoundError."""
        within = self.caller.within(Scope.READ)
        package = await self.registry.package(package_id)
        if within is not None and package.namespace not in within:
            raise PackageNotFoundError(f"there is no package {package_id}")
        return package

    async def packages(
        self, *, namespace: str | None = None, name: str | None = None, after: int = 0, limit: int = 100
    ) -> PackagePage:
        """A page of packages in the order of their sealing."""
        names.check_search(namespace, name, None)
        check_limit(limit)
        check_after(after)
        if namespace is not None:
            self.caller.require(Scope.READ, namespace)
        namespaces = self.caller.within(Scope.READ) if namespace is None else frozenset({namespace})
        found = await self.registry.packages(namespaces, name, after=after, limit=limit)
        return PackagePage(tuple(package for _, package in found), found[-1][0] if found else after)

    async def members(self, package_id: UUID) -> tuple[SealedMember, ...]:
        """The members of a package, in its order; PackageNotFoundError."""
        await self.package(package_id)
        return await self.registry.members(package_id)

    async def open_export(self, package_id: UUID, form: ExportFormat) -> LocalExport:
        """A package as one file. Every member's record is looked at before there is a first byte."""
        package = await self.package(package_id)
        members = await self.registry.members(package_id)
        async with await self.open_record(await self.trusted_record(package.manifest.blake3)) as content:
            encoded = b"".join([chunk async for chunk in content.chunks()])
        manifest = await _in_thread_if_many(package.members, Manifest.parse, encoded)
        records: list[ObjectRecord] = []
        for begin in range(0, len(members), _LOOKUPS):
            lookups = (self.trusted_record(member.identity.blake3) for member in members[begin : begin + _LOOKUPS])
            records += _all_or_first(await asyncio.gather(*lookups, return_exceptions=True))
        for member, record in zip(members, records, strict=True):
            _refuse_damaged_member(member, record)
        sources = {member.name: (record, member.artifact_id) for member, record in zip(members, records, strict=True)}
        export = await _in_thread_if_many(package.members, export_of, manifest, form)
        return LocalExport(self, export, sources)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A member, and the artifact that it was named by."""

    member: PackageMember
    artifact_id: UUID | None


class LocalExport:
    """A package as one file (`spi.ExportedPackage`): each member is opened when its turn comes."""

    def __init__(
        self, store: Packaging, export: Export, sources: Mapping[str, tuple[ObjectRecord, UUID | None]]
    ) -> None:
        self._store = store
        self._export = export
        self._sources = sources
        self._reading: LocalContent | None = None
        self.filename = export.filename
        self.media_type = export.media_type
        self.size_bytes = export.size_bytes

    def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes; ObjectDamagedError in mid-stream for a member that is not what was sealed."""
        return self._export.chunks(self._opened)

    @asynccontextmanager
    async def _opened(self, member: PackageMember) -> AsyncIterator[AsyncIterable[bytes]]:
        record, artifact_id = self._sources[member.name]
        async with await self._store.open_record(record, artifact_id=artifact_id) as content:
            self._reading = content
            yield content.chunks()

    async def close(self) -> None:
        """Give up the member that is being read, if one is."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await reading.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _all_or_first[T](answers: Iterable[T | BaseException]) -> list[T]:
    """The answers; or the first error, in their order, is raised."""
    found: list[T] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found


def _refuse_damaged_member(member: SealedMember, record: ObjectRecord) -> None:
    try:
        refuse_damaged(record)
    except ObjectDamagedError as error:
        raise ObjectDamagedError(f"{member.name}: {error.detail}") from None


async def _in_thread_if_many[**P, T](count: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    if count <= _FEW:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
