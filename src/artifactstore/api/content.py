"""Sending an object's bytes: conditions, ranges, headers, in one place for every address content has."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote
from uuid import UUID

from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from artifactstore.api import conditional
from artifactstore.api.digest_fields import repr_digest
from artifactstore.api.fields import joined
from artifactstore.api.keys import store_of
from artifactstore.api.problems import problem
from artifactstore.api.sendfile import send_file, takes_files
from artifactstore.content import LocalContent, refuse_damaged
from artifactstore.domain.artifact import Artifact, ObjectRecord
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import StorageError
from artifactstore.domain.names import DEFAULT_MEDIA_TYPE
from artifactstore.domain.ranges import ByteRange, RangeNotSatisfiable, parse_range

#: How many contents' headers are kept made.
_KNOWN_HEADERS = 1024
#: Stored content is a stranger's: a browser may neither guess its type, nor run it, nor take it for a page of ours.
UNTRUSTED = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}

type Headers = CIMultiDictProxy[str]


async def send(
    request: web.Request, record: ObjectRecord, artifact: Artifact | None = None, *, headers: Headers | None = None
) -> web.StreamResponse:
    """Answer a GET or HEAD with the content, or with what its conditions and ranges make of it.

    `artifact`: the version through which it is read, and whose name and media type it has. `headers`: those of
    `named_headers`, for content that is neither.
    """
    refuse_damaged(record)
    blake3, size = record.identity.blake3, record.identity.size_bytes
    outcome = conditional.evaluate(joined(request, hdrs.IF_MATCH), joined(request, hdrs.IF_NONE_MATCH), blake3)
    if outcome is conditional.Outcome.FAILED:
        return problem(HTTPStatus.PRECONDITION_FAILED, "precondition-failed", "the content has another entity tag")
    headers = headers or headers_of(record, artifact)
    if outcome is conditional.Outcome.NOT_MODIFIED:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=_without_content(headers))
    try:
        ranges = _ranges(request, record)
    except RangeNotSatisfiable as unsatisfiable:
        answer = problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range-not-satisfiable", f"the content has {size} bytes"
        )
        answer.headers[hdrs.CONTENT_RANGE] = f"bytes */{unsatisfiable.size}"
        return answer
    if request.method == hdrs.METH_HEAD:
        head = web.StreamResponse(headers=headers)
        head.content_length = size
        return head
    single = ranges[0] if len(ranges) == 1 else None
    artifact_id = None if artifact is None else artifact.id
    async with await store_of(request).open_record(record, single, artifact_id=artifact_id) as content:
        if len(ranges) > 1:
            return await _send_parts(request, content, headers, ranges)
        return await _send_one(request, content, headers, single)


async def _send_one(
    request: web.Request, content: LocalContent, headers: Headers, single: ByteRange | None
) -> web.StreamResponse:
    """The whole, or one range of it."""
    status = HTTPStatus.OK if single is None else HTTPStatus.PARTIAL_CONTENT
    response: web.StreamResponse
    if content.held is not None:  # then head and body leave in one write
        response = web.Response(status=status, headers=headers, body=content.held)
    else:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = content.byte_range.length
    if single is not None:
        response.headers[hdrs.CONTENT_RANGE] = single.content_range(content.identity.size_bytes)
    await response.prepare(request)
    if content.held is not None:
        await response.write_eof()  # only then it is known whether the connection took them
        content.count(len(content.held))
    else:
        await _copy(request, content, content.byte_range, response)
    return response


def _ranges(request: web.Request, record: ObjectRecord) -> tuple[ByteRange, ...]:
    header = request.headers.get(hdrs.RANGE)
    if header is None or request.method != hdrs.METH_GET:
        return ()
    if not conditional.range_applies(request.headers.get(hdrs.IF_RANGE), record.identity.blake3):
        return ()
    return parse_range(header, record.identity.size_bytes)


async def _send_parts(
    request: web.Request, content: LocalContent, headers: Headers, ranges: tuple[ByteRange, ...]
) -> web.StreamResponse:
    """Several ranges as multipart/byteranges (RFC 9110, 14.6), with the length known beforehand."""
    size = content.identity.size_bytes
    boundary = secrets.token_hex(16)  # 128 random bits: not in the content
    media_type = headers[hdrs.CONTENT_TYPE]
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {item.content_range(size)}\r\n\r\n".encode()
        for item in ranges
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    response = web.StreamResponse(status=HTTPStatus.PARTIAL_CONTENT, headers=headers)
    response.headers[hdrs.CONTENT_TYPE] = f"multipart/byteranges; boundary={boundary}"
    response.content_length = sum(map(len, heads)) + sum(item.length for item in ranges) + len(tail)
    await response.prepare(request)
    for head, item in zip(heads, ranges, strict=True):
        await response.write(head)
        await _copy(request, content, item, response)
    await response.write(tail)
    return response


async def _copy(
    request: web.Request, content: LocalContent, byte_range: ByteRange, response: web.StreamResponse
) -> None:
    file = content.fileno()
    try:
        if file is not None and takes_files(request):
            await send_file(request, file, byte_range, content.count)
        else:
            async for chunk in content.chunks(byte_range):
                await response.write(chunk)
    except StorageError as error:
        # The status line is out: only a broken connection can still tell the client that this is not the whole.
        raise ConnectionAbortedError(f"content ended early: {error}") from error


def headers_of(record: ObjectRecord, artifact: Artifact | None) -> Headers:
    """The headers of a content; the same, and never changed, as long as it is asked for often."""
    identity = record.identity
    if artifact is None:
        return _headers(identity.blake3.value, identity.sha256.value, DEFAULT_MEDIA_TYPE, None, None)
    media_type = artifact.metadata.media_type
    return _headers(identity.blake3.value, identity.sha256.value, media_type, artifact.name, artifact.id)


def named_headers(record: ObjectRecord, media_type: str, name: str) -> Headers:
    """The headers of a content that has a media type and a name, and is no artifact."""
    return _headers(record.identity.blake3.value, record.identity.sha256.value, media_type, name, None)


@lru_cache(_KNOWN_HEADERS)
def _headers(blake3: bytes, sha256: bytes, media_type: str, name: str | None, artifact_id: UUID | None) -> Headers:
    headers = CIMultiDict(
        {
            hdrs.CONTENT_TYPE: media_type,
            hdrs.ETAG: conditional.entity_tag(Digest.blake3(blake3)),
            hdrs.ACCEPT_RANGES: "bytes",
            "Repr-Digest": repr_digest(Digest.sha256(sha256)),
            hdrs.CONTENT_DISPOSITION: disposition(name),
            # Bytes under a digest never change, but they can be deleted: a cache asks, and is answered 304.
            hdrs.CACHE_CONTROL: "no-cache",
            **UNTRUSTED,
        }
    )
    if artifact_id is not None:
        headers[hdrs.CONTENT_LOCATION] = content_location(artifact_id)
    return CIMultiDictProxy(headers)


def content_location(artifact_id: UUID) -> str:
    """Where the bytes of a version stay when its name moves on."""
    return f"/v1/artifacts/{artifact_id}/content"


def disposition(name: str | None) -> str:
    """Content-Disposition: to be saved, under the last segment of that name."""
    if name is None:
        return "attachment"
    # RFC 6266 with RFC 8187's extended form alone: it needs no quoting rules that clients disagree on
    return f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}"


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    kept = (hdrs.ETAG, hdrs.CACHE_CONTROL, hdrs.CONTENT_LOCATION)  # RFC 9110, 15.4.5
    return {name: headers[name] for name in kept if name in headers}
