"""A store behind a server's address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

from aiohttp import hdrs

from artifactstore.dataplane.sources import Source
from artifactstore.domain import errors, names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectState, Retrievals
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.documents import parse_artifact, parse_identity, parse_retrievals
from artifactstore.domain.ranges import ByteRange
from artifactstore.remote import connection
from artifactstore.remote.catalog import RemoteCatalog
from artifactstore.remote.connection import Connection, problem_of, raise_problem
from artifactstore.remote.content import RemoteContent, content_facts
from artifactstore.remote.packages import RemotePackages
from artifactstore.remote.tokens import RemoteTokens
from artifactstore.remote.uploads import Headers, Outgoing, announcement, conditions, metadata_headers
from artifactstore.spi import Condition, Event, StoredObject, Verification


class RemoteStore(RemoteCatalog, RemotePackages, RemoteTokens):
    """A store behind a server's address, such as `http://127.0.0.1:8000`. Use it as an asynchronous context manager."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._server = Connection(url, token)

    # --- bytes in ---------------------------------------------------------------------------------------------------

    async def put_object(
        self,
        source: Source,
        *,
        namespace: str = names.DEFAULT_NAMESPACE,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        primary_algorithm: Algorithm = Algorithm.BLAKE3,
    ) -> StoredObject:
        """Store bytes durably. With an expected digest, an object that the server has costs no body."""
        if primary_algorithm is not Algorithm.BLAKE3:
            raise errors.InvalidInputError("a server chooses the key of an object itself", field="primary_algorithm")
        headers = [("Artifact-Namespace", names.check_namespace(namespace)), *announcement(expected)]
        # BLAKE3 first: it is checked by the address, SHA-256 by a header. Two that differ cannot both be right, and the
        # server must not answer for the first of them before it has seen the bytes.
        expected = sorted(set(expected))
        ask_first = sum(digest.algorithm is Algorithm.BLAKE3 for digest in expected) < 2 and bool(expected)
        method, path = ("PUT", f"/v1/objects/{expected[0]}") if expected else ("POST", "/v1/objects")

        def parse(document: dict[str, Any]) -> StoredObject:
            return StoredObject(parse_identity(document), bool(document["created"]))

        stored = await self._upload(
            method,
            path,
            parse,
            source,
            size_hint,
            headers,
            unchecked=expected[1:],
            ask_first=ask_first,
        )
        for digest in expected:  # the server had it: no body was sent that could have been checked
            if not stored.identity.matches(digest):
                raise errors.DigestMismatchError(f"{digest} was announced; {expected[0]} is another object")
        return stored

    async def put_file(
        self,
        namespace: str,
        name: str,
        source: Source,
        *,
        metadata: ArtifactMetadata | None = None,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        create_only: bool = False,
        if_match: Condition = None,
    ) -> tuple[Artifact, bool]:
        """Store bytes durably as the next version of a name."""
        metadata = (metadata or ArtifactMetadata()).checked()
        conditional = conditions(create_only, if_match)
        headers = [*metadata_headers(metadata), *announcement(expected), *conditional]

        def parse(document: dict[str, Any]) -> tuple[Artifact, bool]:
            return parse_artifact(document), bool(document["created"])

        return await self._upload(
            "PUT",
            _file_path(namespace, name),
            parse,
            source,
            size_hint,
            headers,
            unchecked=expected,
            ask_first=bool(conditional),
        )

    async def _upload[T](
        self,
        method: str,
        path: str,
        parse: Callable[[dict[str, Any]], T],
        source: Source,
        size_hint: int | None,
        headers: Headers,
        *,
        unchecked: Sequence[Digest],
        ask_first: bool,
    ) -> T:
        """Send a source, once; again when the answer is lost and it can be read again.

        `unchecked`: digests that the server would not compare, or not before it has stored.
        """
        return await self._server.once(
            lambda key: self._send(
                method, path, parse, source, size_hint, [*headers, key], unchecked=unchecked, ask_first=ask_first
            ),
            repeatable=isinstance(source, bytes | Path),
        )

    async def _send[T](
        self,
        method: str,
        path: str,
        parse: Callable[[dict[str, Any]], T],
        source: Source,
        size_hint: int | None,
        headers: Headers,
        *,
        unchecked: Sequence[Digest],
        ask_first: bool,
    ) -> T:
        # The client's own limit on silence begins after the body; until it is asked for, this one counts.
        silence = asyncio.timeout(connection.PATIENCE)
        try:
            async with silence:
                outgoing = Outgoing(
                    source,
                    size_hint,
                    [digest for digest in unchecked if digest.algorithm is not Algorithm.SHA256],
                    begun=lambda: silence.reschedule(None),
                )
                try:
                    return await self._server.ask(
                        method,
                        path,
                        parse,
                        headers=[*headers, *outgoing.headers()],
                        data=outgoing,
                        expect100=ask_first or outgoing.asks_first,
                    )
                except errors.RemoteError:
                    if outgoing.error is not None:
                        raise outgoing.error from None
                    raise
        except TimeoutError:
            if not silence.expired():  # the source's own
                raise
            raise errors.RemoteError(f"{self._server.base} does not say whether it wants the upload") from None

    # --- facts ------------------------------------------------------------------------------------------------------

    async def object(self, digest: Digest) -> StoredObject:
        """An object by either digest, a damaged one too; ObjectNotFoundError."""
        path = f"/v1/objects/{digest}"
        async with self._server.sent("HEAD", path) as response:
            if response.status == 200:
                with self._server.understood():
                    return StoredObject(content_facts(response)[0], created=False)
        async with self._server.sent("GET", path) as response:
            problem = await problem_of(response)
            with self._server.understood():
                if problem is None:  # stored, or mended, since it was asked first
                    return StoredObject(content_facts(response)[0], created=False)
                if isinstance(problem.error, errors.ObjectDamagedError):
                    return StoredObject(parse_identity(problem.document), created=False, state=ObjectState.DAMAGED)
        raise problem.error

    async def file(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name; ArtifactNotFoundError."""
        path = _file_path(namespace, name)
        prefix, suffix = "/v1/artifacts/", "/content"
        async with self._server.sent("HEAD", path) as response:
            location = response.headers.get(hdrs.CONTENT_LOCATION, "")  # there for damaged content, too
        if location.startswith(prefix) and location.endswith(suffix):
            return await self._server.ask("GET", location.removesuffix(suffix), parse_artifact)
        async with self._server.sent("GET", path) as response:
            await raise_problem(response)
        raise errors.RemoteError(f"{self._server.base} answered what is not artifact-store's: no Content-Location")

    async def events(self, *, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """The log in order, from the event after `after`."""

        def parse(document: dict[str, Any]) -> tuple[Event, ...]:
            return tuple(Event.parse(item) for item in document["items"])

        return await self._server.ask("GET", "/v1/events", parse, query={"after": str(after), "limit": str(limit)})

    async def retrievals(
        self, artifact_id: UUID, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> tuple[Retrievals, ...]:
        """A page of who read an artifact, summed by minute and actor."""
        query = {"limit": str(limit)} | ({} if after is None else {"after": " ".join(after)})

        def parse(document: dict[str, Any]) -> tuple[Retrievals, ...]:
            return tuple(parse_retrievals(item) for item in document["items"])

        return await self._server.ask("GET", f"/v1/artifacts/{artifact_id}/retrievals", parse, query=query)

    # --- bytes out --------------------------------------------------------------------------------------------------

    async def open_object(self, digest: Digest, byte_range: ByteRange | None = None) -> RemoteContent:
        """The bytes of an object by either digest."""
        return await self._open(f"/v1/objects/{digest}", byte_range)

    async def open_file(self, namespace: str, name: str, byte_range: ByteRange | None = None) -> RemoteContent:
        """The bytes of a name's latest version."""
        return await self._open(_file_path(namespace, name), byte_range)

    async def open_artifact(self, artifact_id: UUID, byte_range: ByteRange | None = None) -> RemoteContent:
        """The bytes of one version."""
        return await self._open(f"/v1/artifacts/{artifact_id}/content", byte_range)

    async def _open(self, path: str, wanted: ByteRange | None) -> RemoteContent:
        if wanted is not None and not wanted.length:
            return await self._open_nothing(path, wanted)
        headers = {} if wanted is None else {hdrs.RANGE: f"bytes={wanted.start}-{wanted.stop - 1}"}
        response = await self._server.send("GET", path, headers=headers)
        try:
            if response.status == 416 and wanted is not None:
                with self._server.understood():
                    size = int(response.headers[hdrs.CONTENT_RANGE].removeprefix("bytes */"))
                wanted.check_within(size)
            await raise_problem(response)
            with self._server.understood():
                identity, given = content_facts(response)
            if wanted is not None and given != wanted:
                wanted.check_within(identity.size_bytes)  # HTTP gives as much of a range as there is
                raise errors.RemoteError("the server answered with another range than was asked for")
        except BaseException:
            response.close()
            raise
        return RemoteContent(response, identity, given)

    async def _open_nothing(self, path: str, wanted: ByteRange) -> RemoteContent:
        """An empty range: HTTP has no way to ask for one, so it asks what the object is."""
        response = await self._server.send("HEAD", path)
        if response.status != 200:
            response.close()
            async with self._server.sent("GET", path) as response:
                await raise_problem(response)
        with self._server.understood():
            identity, _ = content_facts(response)
        wanted.check_within(identity.size_bytes)
        return RemoteContent(response, identity, wanted)

    async def verify_object(self, digest: Digest) -> Verification:
        """Let the server re-read an object and digest it again."""
        return await self._server.ask("POST", f"/v1/objects/{digest}/verify", Verification.parse)

    # --- deletion ---------------------------------------------------------------------------------------------------

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object; ObjectNotFoundError, ObjectInUseError."""
        async with self._server.sent("DELETE", f"/v1/objects/{digest}") as response:
            await raise_problem(response)

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name; ArtifactNotFoundError."""
        headers = conditions(False, if_match)
        async with self._server.sent("DELETE", _file_path(namespace, name), headers=headers) as response:
            await raise_problem(response)

    async def close(self) -> None:
        """Give up the connections. Idempotent."""
        await self._server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _file_path(namespace: str, name: str) -> str:
    return f"/v1/files/{names.check_namespace(namespace)}/{quote(names.check_name(name), safe='/')}"
