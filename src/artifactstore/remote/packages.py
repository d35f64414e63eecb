"""Packages behind a server's address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self
from urllib.parse import unquote
from uuid import UUID

import aiohttp
from aiohttp import hdrs

from artifactstore.domain import errors, names
from artifactstore.domain.artifact import Package, SealedMember
from artifactstore.domain.documents import parse_member, parse_package
from artifactstore.domain.package import MemberSource, PackageDescription, Producer
from artifactstore.manifests.exports import ExportFormat
from artifactstore.remote.connection import Connection, raise_problem, reason
from artifactstore.spi import PackagePage


class RemotePackages:
    """The part of a store behind a server's address that is about packages."""

    _server: Connection

    async def seal_package(
        self,
        namespace: str,
        name: str,
        members: Sequence[MemberSource],
        *,
        description: PackageDescription | None = None,
        supersedes: UUID | None = None,
    ) -> tuple[Package, bool]:
        """Seal members that are stored as a package; and whether that is new."""
        document = _given(
            namespace=namespace,
            name=name,
            members=[_member(member) for member in members],
            **_description(description or PackageDescription()),
            supersedes=None if supersedes is None else str(supersedes),
        )

        def parse(answer: dict[str, Any]) -> tuple[Package, bool]:
            return parse_package(answer), bool(answer["created"])

        try:
            body = json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise errors.InvalidPackageError("what a package says is UTF-8") from None
        fields = [(hdrs.CONTENT_TYPE, "application/json")]
        return await self._server.once(
            lambda key: self._server.ask("POST", "/v1/packages", parse, data=body, headers=[*fields, key])
        )

    async def package(self, package_id: UUID) -> Package:
        """One package; PackageNotFoundError."""
        return await self._server.ask("GET", f"/v1/packages/{package_id}", parse_package)

    async def packages(
        self, *, namespace: str | None = None, name: str | None = None, after: int = 0, limit: int = 100
    ) -> PackagePage:
        """A page of packages in the order of their sealing."""
        names.check_search(namespace, name, None)
        terms = {"namespace": namespace, "name": name, "after": str(after), "limit": str(limit)}

        def parse(document: dict[str, Any]) -> PackagePage:
            return PackagePage(tuple(parse_package(item) for item in document["items"]), int(document["next"]))

        query = {key: value for key, value in terms.items() if value is not None}
        return await self._server.ask("GET", "/v1/packages", parse, query=query)

    async def members(self, package_id: UUID) -> tuple[SealedMember, ...]:
        """The members of a package, in its order; PackageNotFoundError."""

        def parse(document: dict[str, Any]) -> tuple[SealedMember, ...]:
            return tuple(parse_member(item) for item in document["members"])

        return await self._server.ask("GET", f"/v1/packages/{package_id}", parse)

    async def open_export(self, package_id: UUID, form: ExportFormat) -> RemoteExport:
        """A package as one file, as the server sends it."""
        response = await self._server.send("GET", f"/v1/packages/{package_id}/export", query={"format": str(form)})
        try:
            await raise_problem(response)
            with self._server.understood():
                return RemoteExport(response)
        except BaseException:
            response.close()
            raise


class RemoteExport:
    """A package as one file, as an answer that is still coming (`spi.ExportedPackage`)."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.filename = unquote(response.headers[hdrs.CONTENT_DISPOSITION].rpartition("''")[2], errors="strict")
        self.media_type = response.headers[hdrs.CONTENT_TYPE]
        self.size_bytes = int(response.headers[hdrs.CONTENT_LENGTH])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes; RemoteError if the answer ends early."""
        received = 0
        try:
            async for chunk in self._response.content.iter_any():
                received += len(chunk)
                yield chunk
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise errors.RemoteError(f"the export ended early: {reason(error)}") from error
        if received != self.size_bytes:
            raise errors.RemoteError(f"the export ended early, after {received} of {self.size_bytes} bytes")

    async def close(self) -> None:
        """Give up the connection if the file was not read to its end. Idempotent."""
        self._response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _given(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _member(member: MemberSource) -> dict[str, object]:
    kind = "artifact" if isinstance(member.source, UUID) else "digest"
    return _given(name=member.name, media_type=member.media_type, **{kind: str(member.source)})


def _description(said: PackageDescription) -> dict[str, object]:
    return {
        "label": said.label,
        "completeness": str(said.completeness),
        "completeness_note": said.completeness_note,
        "producer": None if said.producer is None else _producer(said.producer),
        "related": [{"relation": item.relation, "digest": str(item.digest)} for item in said.related] or None,
        "retention": said.retention,
    }


def _producer(producer: Producer) -> dict[str, object]:
    return _given(name=producer.name, version=producer.version, uri=producer.uri)
