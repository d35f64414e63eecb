"""The library's face over a server: the HTTP API, version 1, as an `ArtifactStore`."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

import aiohttp
from aiohttp import hdrs
from yarl import URL

from artifactstore.dataplane.sources import Source, stream_of
from artifactstore.domain import errors, names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.ranges import ByteRange
from artifactstore.spi import ArtifactPage, Condition, Event, StoredObject, Verification

_PROBLEM = "urn:artifact-store:problem:"
#: No limit on a whole transfer; a server that says nothing for this long, in seconds, has failed.
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=30, sock_read=300)


def _tree(base: type[errors.ArtifactStoreError]) -> list[type[errors.ArtifactStoreError]]:
    return [base, *(error for child in base.__subclasses__() for error in _tree(child))]


_ERRORS = {error.code: error for error in _tree(errors.ArtifactStoreError)}


class RemoteContent:
    """An object's bytes, or a range of them, as an answer that is still coming."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.identity, self.byte_range = _content_facts(response)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes; RemoteError if the answer ends early."""
        received = 0
        try:
            async for chunk in self._response.content.iter_any():
                received += len(chunk)
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.RemoteError(f"the content ended early: {_reason(error)}") from error
        if received != self.byte_range.length:
            raise errors.RemoteError(f"the content ended early, after {received} of {self.byte_range.length} bytes")

    async def close(self) -> None:
        """Give up the connection if the content was not read to its end."""
        self._response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class RemoteStore:
    """A store behind a server's address, such as `http://127.0.0.1:8000`. Use it as an asynchronous context manager."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/")
        try:
            usable = URL(self._base).host is not None
        except ValueError:
            usable = False
        if not usable:
            raise errors.InvalidInputError(f"{url!r} is not the address of a server", field="server")
        self._session: aiohttp.ClientSession | None = None

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
        headers = {"Artifact-Namespace": names.check_namespace(namespace), **_announcement(expected)}
        method, path = ("PUT", f"/v1/objects/{expected[0]}") if expected else ("POST", "/v1/objects")
        document = await self._upload(method, path, source, size_hint, headers, ask_first=bool(expected))
        identity = _identity(document)
        _check_expected(identity, expected)
        return StoredObject(identity, bool(document["created"]))

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
        headers = [*_metadata_headers(metadata), *_announcement(expected).items(), *_conditions(create_only, if_match)]
        path = _file_path(namespace, name)
        document = await self._upload("PUT", path, source, size_hint, headers, ask_first=create_only or bool(if_match))
        artifact = _artifact(document)
        _check_expected(artifact.identity, expected)
        return artifact, bool(document["created"])

    async def _upload(
        self,
        method: str,
        path: str,
        source: Source,
        size_hint: int | None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        *,
        ask_first: bool,
    ) -> dict[str, Any]:
        stream, size = stream_of(source)
        size = size if size is not None else size_hint
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if size is not None:
            pairs.append((hdrs.CONTENT_LENGTH, str(size)))
        # aiohttp's own expect100 waits for a 100 that an early final answer makes superfluous, and then sends no body
        async with self._request(method, path, headers=pairs, data=stream, expect100=ask_first) as response:
            return await _document(response)

    # --- facts ------------------------------------------------------------------------------------------------------

    async def object(self, digest: Digest) -> StoredObject:
        """An object by either digest; ObjectNotFoundError, ObjectDamagedError."""
        async with self._request("HEAD", f"/v1/objects/{digest}", missing=errors.ObjectNotFoundError) as response:
            identity, _ = _content_facts(response)
            return StoredObject(identity, created=False)

    async def file(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name; ArtifactNotFoundError."""
        path = _file_path(namespace, name)
        response = await self._send("HEAD", path)
        async with response:
            location = response.headers.get(hdrs.CONTENT_LOCATION, "")  # there for damaged content, too
        prefix, suffix = "/v1/artifacts/", "/content"
        if not (location.startswith(prefix) and location.endswith(suffix)):
            await _raise_problem(response, errors.ArtifactNotFoundError)
            raise errors.RemoteError(f"{self._base} answered what is not artifact-store's: no Content-Location")
        return _artifact(await self._get(location.removesuffix(suffix)))

    async def artifact(self, artifact_id: UUID) -> Artifact:
        """One artifact by its id, deleted ones included; ArtifactNotFoundError."""
        return _artifact(await self._get(f"/v1/artifacts/{artifact_id}"))

    async def artifacts(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        name_prefix: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ArtifactPage:
        """A page of artifacts in the order of namespace, name, version."""
        terms = {
            "namespace": namespace,
            "name": name,
            "name_prefix": name_prefix,
            "limit": str(limit),
            "cursor": cursor,
        }
        query = {key: value for key, value in terms.items() if value is not None}
        document = await self._get("/v1/artifacts", query)
        return ArtifactPage(tuple(_artifact(item) for item in document["items"]), document["next"])

    async def events(self, *, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """The log in order, from the event after `after`."""
        document = await self._get("/v1/events", {"after": str(after), "limit": str(limit)})
        return tuple(Event(**{**item, "id": UUID(item["id"])}) for item in document["items"])

    async def retrievals(self, artifact_id: UUID) -> tuple[Retrievals, ...]:
        """Who read an artifact, summed by actor and minute."""
        document = await self._get(f"/v1/artifacts/{artifact_id}/retrievals")
        return tuple(
            Retrievals(
                blake3=Digest.parse(item["blake3"]),
                artifact_id=None if item["artifact_id"] is None else UUID(item["artifact_id"]),
                actor=item["actor"],
                minute=item["minute"],
                count=item["count"],
                size_bytes=item["size_bytes"],
            )
            for item in document["items"]
        )

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

    async def _open(self, path: str, byte_range: ByteRange | None) -> RemoteContent:
        headers = {}
        if byte_range is not None and byte_range.length:
            headers[hdrs.RANGE] = f"bytes={byte_range.start}-{byte_range.stop - 1}"
        response = await self._send("GET", path, headers=headers)
        try:
            await _raise_problem(response, None)
            content = RemoteContent(response)
            if byte_range is not None and content.byte_range != byte_range:
                raise errors.RemoteError("the server answered with another range than was asked for")
        except BaseException:
            response.close()
            raise
        return content

    async def verify_object(self, digest: Digest) -> Verification:
        """Let the server re-read an object and digest it again."""
        async with self._request("POST", f"/v1/objects/{digest}/verify") as response:
            document = await _document(response)
        actual_blake3, actual_sha256 = document["actual_blake3"], document["actual_sha256"]
        return Verification(
            document["verified"],
            document["reason"],
            _identity(document),
            None if actual_blake3 is None else Digest.parse(actual_blake3),
            None if actual_sha256 is None else Digest.parse(actual_sha256),
            document["actual_size_bytes"],
        )

    # --- deletion ---------------------------------------------------------------------------------------------------

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object; ObjectNotFoundError, ObjectInUseError."""
        async with self._request("DELETE", f"/v1/objects/{digest}"):
            pass

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name; ArtifactNotFoundError."""
        async with self._request("DELETE", _file_path(namespace, name), headers=_conditions(False, if_match)):
            pass

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        async with self._request("GET", path, query=query) as response:
            return await _document(response)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, *, missing: type[errors.NotFoundError] | None = None, **arguments: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; what the server refuses is raised as the domain's error."""
        response = await self._send(method, path, **arguments)
        try:
            await _raise_problem(response, missing)
            yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.RemoteError(f"{self._base} broke off: {_reason(error)}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise errors.RemoteError(f"{self._base} answered what is not artifact-store's: {error}") from error
        finally:
            response.release()

    async def _send(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, **arguments: Any
    ) -> aiohttp.ClientResponse:
        url = URL(self._base + path, encoded=True)
        if query:
            url = url.with_query(query)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, auto_decompress=False)
        try:
            return await self._session.request(method, url, **arguments)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.RemoteError(f"{self._base} does not answer: {_reason(error)}") from error

    async def close(self) -> None:
        """Give up the connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _file_path(namespace: str, name: str) -> str:
    return f"/v1/files/{names.check_namespace(namespace)}/{quote(names.check_name(name), safe='/')}"


def _announcement(expected: Sequence[Digest]) -> dict[str, str]:
    members = [
        f"sha-256=:{base64.b64encode(digest.value).decode()}:"
        for digest in expected
        if digest.algorithm is Algorithm.SHA256
    ]
    return {"Repr-Digest": ", ".join(members)} if members else {}


def _check_expected(identity: ObjectIdentity, expected: Sequence[Digest]) -> None:
    """What no header can announce (BLAKE3) is compared when the server has said what it stored."""
    for digest in expected:
        if not identity.matches(digest):
            raise errors.DigestMismatchError(f"{digest} was announced; the server stored {identity.blake3}")


def _metadata_headers(metadata: ArtifactMetadata) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = [(hdrs.CONTENT_TYPE, metadata.media_type)]
    for header, value in (
        ("Artifact-Kind", metadata.kind),
        ("Artifact-Retention", metadata.retention),
        ("Artifact-Provenance", metadata.provenance),
    ):
        if value is not None:
            pairs.append((header, value))
    pairs += [
        ("Artifact-Label", f"{quote(key, safe='')}={quote(value, safe='')}") for key, value in metadata.labels.items()
    ]
    return pairs


def _conditions(create_only: bool, if_match: Condition) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = [(hdrs.IF_NONE_MATCH, "*")] if create_only else []
    if if_match is not None:
        tags = "*" if if_match == "*" else ", ".join(f'"{digest}"' for digest in sorted(if_match))
        pairs.append((hdrs.IF_MATCH, tags))
    return pairs


async def _document(response: aiohttp.ClientResponse) -> dict[str, Any]:
    document = json.loads(await response.read())
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    return document


async def _raise_problem(response: aiohttp.ClientResponse, missing: type[errors.NotFoundError] | None) -> None:
    """Raise what a refusal means. An answer to HEAD has no document: `missing` is what its 404 means."""
    if response.status < 400:
        return
    if response.method == hdrs.METH_HEAD:
        if response.status == 404 and missing is not None:
            raise missing(f"there is nothing at {response.url.path}")
        if response.status == 500:
            raise errors.ObjectDamagedError(f"the stored copy of {response.url.path} is damaged, or the server failed")
        raise errors.RemoteError(f"the server answered {response.status}")
    try:
        document = await _document(response)
        kind, detail = str(document["type"]), str(document["detail"])
    except (ValueError, TypeError, KeyError, aiohttp.ClientError):
        raise errors.RemoteError(f"the server answered {response.status} without saying why") from None
    error = _ERRORS.get(kind.removeprefix(_PROBLEM), errors.RemoteError)
    if issubclass(error, errors.InvalidInputError):
        raise error(detail, field=document.get("field"))
    raise error(detail)


def _content_facts(response: aiohttp.ClientResponse) -> tuple[ObjectIdentity, ByteRange]:
    """The object and the range that an answer with content is of, from its headers."""
    try:
        blake3 = Digest.parse(response.headers[hdrs.ETAG].strip('"'))
        encoded = response.headers["Repr-Digest"].removeprefix("sha-256=:").removesuffix(":")
        sha256 = Digest.sha256(base64.b64decode(encoded, validate=True))
        length = int(response.headers[hdrs.CONTENT_LENGTH])
        if response.status != 206:
            return ObjectIdentity(blake3, sha256, length), ByteRange(0, length)
        first, _, rest = response.headers[hdrs.CONTENT_RANGE].removeprefix("bytes ").partition("-")
        size = int(rest.partition("/")[2])
        return ObjectIdentity(blake3, sha256, size), ByteRange(int(first), length)
    except (KeyError, ValueError, binascii.Error, errors.InvalidDigestError):
        raise errors.RemoteError("the server's answer is not artifact-store's content") from None


def _identity(document: Mapping[str, Any]) -> ObjectIdentity:
    return ObjectIdentity(Digest.parse(document["blake3"]), Digest.parse(document["sha256"]), document["size_bytes"])


def _artifact(document: Mapping[str, Any]) -> Artifact:
    provenance = document["provenance"]
    return Artifact(
        id=UUID(document["id"]),
        namespace=document["namespace"],
        name=document["name"],
        version=document["version"],
        identity=_identity(document),
        metadata=ArtifactMetadata(
            kind=document["kind"],
            media_type=document["media_type"],
            labels=dict(document["labels"]),
            provenance=provenance if provenance is None or isinstance(provenance, str) else json.dumps(provenance),
            retention=document["retention"],
        ),
        created_at=document["created_at"],
        created_by=document["created_by"],
        revision=document["revision"],
        deleted=document["deleted"],
    )


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
