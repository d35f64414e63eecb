"""A directory, or a bag, as the members of a package.

Theory of operation. First everything is read and nothing sent: the files are listed, their names checked, each digested
(a bag's against its own manifests). Only when all of that is well is anything stored, and of that only what the store
does not have: whoever was interrupted says the same again, and it goes on. Nothing is kept here in between.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from artifactstore.cli.progress import bar
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectState
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    InvalidInputError,
    InvalidPackageError,
    ObjectDamagedError,
    ObjectNotFoundError,
)
from artifactstore.domain.package import MemberSource, PackageContents, PackageMember, check_member_name
from artifactstore.manifests import bags
from artifactstore.manifests.containers import Container, FileDigests, Finding, open_container

if TYPE_CHECKING:
    from artifactstore.spi import ArtifactStore

# The built-in table alone: what a machine's own adds would make another manifest there.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("text/plain", ".log")
_NOTHING = bytes(32)


@dataclass(slots=True)
class Listing:
    """The files that are to be members, by their names, and what stands in the way."""

    identities: dict[str, ObjectIdentity] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    base: str = ""  # where the names begin within the directory


class Directory:
    """A directory that is being ingested; use it as a context manager."""

    def __init__(self, path: Path, excluded: tuple[str, ...], *, quiet: bool) -> None:
        self._excluded = excluded
        self._quiet = quiet
        self._shown: Callable[[int], object] = lambda size: None
        self._opened = open_container(path, lambda size: self._shown(size))

    def __enter__(self) -> Directory:
        self._container: Container = self._opened.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.__exit__(None, None, None)

    def read(self, namespace: str, name: str) -> Listing:
        """Look at everything, without storing anything."""
        is_bag = bags.DECLARATION in self._container.sizes
        listing = self._read_bag() if is_bag else self._read_files(namespace, name)
        if not listing.findings:
            members = (PackageMember(member, identity) for member, identity in listing.identities.items())
            PackageContents(namespace, name, tuple(members)).checked()
        return listing

    def _read_bag(self) -> Listing:
        if self._excluded:
            raise click.UsageError("a bag is taken whole: --exclude is for other directories")
        with bar(sum(self._container.sizes.values()), "checked", quiet=self._quiet) as shown:
            self._shown = shown.update
            bag = bags.read_bag(self._container)
        findings = [*self._container.findings, *bag.findings, *_unfit(bag.payload)]
        return Listing(bag.payload, findings, bags.PAYLOAD)

    def _read_files(self, namespace: str, name: str) -> Listing:
        paths = [path for path in self._container.sizes if not self._is_excluded(path)]
        links = [finding for finding in self._container.findings if not self._is_excluded(finding.path)]
        findings = [*links, *_unfit(paths)]
        if findings:
            return Listing(findings=findings)
        nothing = Digest.blake3(_NOTHING), Digest.sha256(_NOTHING)  # collisions are found before hours of reading
        members = tuple(PackageMember(path, ObjectIdentity(*nothing, 0)) for path in paths)
        PackageContents(namespace, name, members).checked()
        listing = Listing()
        with bar(sum(map(self._container.sizes.__getitem__, paths)), "digested", quiet=self._quiet) as shown:
            self._shown = shown.update
            for path in paths:
                try:
                    listing.identities[path] = FileDigests.of(self._container.chunks(path)).identity
                except InvalidPackageError as error:
                    listing.findings.append(Finding(path, error.detail))
        return listing

    def _is_excluded(self, path: str) -> bool:
        segments = path.split("/")
        places = ["/".join(segments[:end]) for end in range(1, len(segments) + 1)]
        return any(
            fnmatchcase(place, pattern)
            for pattern in self._excluded
            for place in (places if "/" in pattern else segments)
        )

    async def store(self, listing: Listing, sending: Sending) -> list[MemberSource]:
        """Store what is not there yet; the members."""
        found: list[MemberSource] = []
        size = sum(identity.size_bytes for identity in listing.identities.values())
        with bar(size, "stored", quiet=self._quiet) as shown:
            for name, identity in listing.identities.items():
                before = shown.n
                self._shown = shown.update
                source = await sending.send(name, identity, partial(self._chunks, listing.base + name))
                shown.update(before + identity.size_bytes - shown.n)
                found.append(MemberSource(source, name, media_type_of(name)))
        return found

    async def _chunks(self, path: str) -> AsyncIterator[bytes]:
        pieces = self._container.chunks(path)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece


@dataclass(slots=True)
class Sending:
    """How files get into a store, and how many had to be sent."""

    store: ArtifactStore
    namespace: str
    name: str
    metadata: ArtifactMetadata | None  # what each is recorded with, as an artifact; None: they are objects
    asks: bool  # whether to ask for an object before it is sent; a server is asked by the upload itself
    created: int = 0

    async def send(
        self, name: str, identity: ObjectIdentity, chunks: Callable[[], AsyncIterator[bytes]]
    ) -> Digest | UUID:
        """Store one file, if it is not there; what it is a member by."""
        if self.metadata is not None:
            return await self._record(name, identity, chunks, self.metadata)
        if not (self.asks and await self._is_there(identity)):
            stored = await self.store.put_object(
                chunks(), namespace=self.namespace, expected=[identity.blake3], size_hint=identity.size_bytes
            )
            self.created += stored.created
        return identity.blake3

    async def _record(
        self,
        name: str,
        identity: ObjectIdentity,
        chunks: Callable[[], AsyncIterator[bytes]],
        metadata: ArtifactMetadata,
    ) -> UUID:
        metadata = replace(metadata, media_type=media_type_of(name))
        path = f"{self.name}/{name}"
        latest = await self._latest(path)
        if latest is None or (latest.identity, latest.metadata) != (identity, metadata):
            latest = await self._known(path, identity, metadata)
            if latest is None:
                latest, created = await self.store.put_file(
                    self.namespace,
                    path,
                    chunks(),
                    metadata=metadata,
                    expected=[identity.sha256],
                    size_hint=identity.size_bytes,
                )
                self.created += created
        elif not await self._is_there(identity):  # it was found damaged
            await self.store.put_object(chunks(), namespace=self.namespace, expected=[identity.blake3])
        return latest.id

    async def _known(self, path: str, identity: ObjectIdentity, metadata: ArtifactMetadata) -> Artifact | None:
        """A new version of bytes that are there already; None if they have to be sent."""
        if not await self._is_there(identity):
            return None
        try:
            return await self.store.record_artifact(self.namespace, path, identity.blake3, metadata=metadata)
        except (ObjectNotFoundError, ObjectDamagedError):  # they were there a moment ago
            return None

    async def _latest(self, path: str) -> Artifact | None:
        try:
            return await self.store.file(self.namespace, path)
        except ArtifactNotFoundError:
            return None

    async def _is_there(self, identity: ObjectIdentity) -> bool:
        try:
            return (await self.store.object(identity.blake3)).state is ObjectState.LIVE
        except ObjectNotFoundError:
            return False


def media_type_of(name: str) -> str:
    """A media type by a name's ending; one that is compressed is bytes."""
    media_type, encoding = _TYPES.guess_type(name)
    return names.DEFAULT_MEDIA_TYPE if media_type is None or encoding is not None else media_type


def _unfit(found: Iterable[str]) -> list[Finding]:
    """Names that no package can hold."""
    findings = []
    for name in found:
        try:
            check_member_name(name)
        except InvalidInputError as error:
            findings.append(Finding(name, error.detail))
    return findings
