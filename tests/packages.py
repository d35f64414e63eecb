"""Packages made of bytes in memory, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from typing import Any

from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.manifest import Manifest
from artifactstore.domain.package import PackageContents, PackageMember
from artifactstore.hashing import dual_digest
from artifactstore.manifests.archives import Opener
from artifactstore.manifests.exports import ExportFormat, export_of

#: Names that archives and manifests have to take care of; two of the same bytes; one of none.
FILES: dict[str, bytes] = {
    "report.xml": b"<report/>",
    "logs/Übersicht 1.log": bytes(range(256)) * 3000,
    "logs/empty": b"",
    "copy of report": b"<report/>",
    f"{'d' * 120}/{'e' * 130}": b"deep",
    "{}": b"{}",
}


def identity_of_bytes(data: bytes) -> ObjectIdentity:
    blake3, sha256 = dual_digest(data)
    return ObjectIdentity(Digest.blake3(blake3), Digest.sha256(sha256), len(data))


def contents_of(files: Mapping[str, bytes], **said: Any) -> PackageContents:
    members = tuple(
        PackageMember(name, identity_of_bytes(data), said.get("media_type")) for name, data in files.items()
    )
    return PackageContents("default", "evidence/run", members, **{k: v for k, v in said.items() if k != "media_type"})


def opener_of(files: Mapping[str, bytes], piece_bytes: int = 100_000) -> Opener:
    @contextlib.asynccontextmanager
    async def opener(member: PackageMember) -> AsyncIterator[AsyncIterable[bytes]]:
        yield _pieces(files[member.name], piece_bytes)

    return opener


async def _pieces(data: bytes, piece_bytes: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), piece_bytes):
        yield data[begin : begin + piece_bytes]


async def exported(files: Mapping[str, bytes], form: ExportFormat, **said: Any) -> bytes:
    export = export_of(Manifest.of(contents_of(files, **said)), form)
    return b"".join([chunk async for chunk in export.chunks(opener_of(files))])


def under(files: Mapping[str, bytes], base: str) -> Iterator[tuple[str, bytes]]:
    for name, data in files.items():
        yield base + name, data
