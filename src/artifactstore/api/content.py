"""Sending an object's bytes: conditions, ranges, headers, in one place for every address content has."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote
from uuid import UUID

from aiohttp import hdrs, web

from artifactstore.api import conditional
from artifactstore.api.digest_fields import repr_digest
from artifactstore.api.fields import joined
from artifactstore.api.keys import store_of
from artifactstore.api.problems import problem
from artifactstore.content import LocalContent, refuse_damaged
from artifactstore.domain.artifact import ObjectRecord
from artifactstore.domain.errors import StorageError
from artifactstore.domain.names import DEFAULT_MEDIA_TYPE
from artifactstore.domain.ranges import ByteRange, RangeNotSatisfiable, parse_range

#: Stored content is a stranger's: a browser may neither guess its type, nor run it, nor take it for a page of ours.
_UNTRUSTED = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Representation:
    """What is to be sent, and as what."""

    record: ObjectRecord
    media_type: str = DEFAULT_MEDIA_TYPE
    file_name: str | None = None  # for Content-Disposition
    artifact_id: UUID | None = None  # through which it is read; None: by digest
    location: str | None = None  # for Content-Location


async def send(request: web.Request, what: Representation) -> web.StreamResponse:
    """Answer a GET or HEAD with the content, or with what its conditions and ranges make of it."""
    refuse_damaged(what.record)
    blake3, size = what.record.identity.blake3, what.record.identity.size_bytes
    outcome = conditional.evaluate(joined(request, hdrs.IF_MATCH), joined(request, hdrs.IF_NONE_MATCH), blake3)
    if outcome is conditional.Outcome.FAILED:
        return problem(HTTPStatus.PRECONDITION_FAILED, "precondition-failed", "the content has another entity tag")
    headers = _headers(what)
    if outcome is conditional.Outcome.NOT_MODIFIED:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=_without_content(headers))
    try:
        ranges = _ranges(request, what.record)
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
    store = store_of(request)
    single = ranges[0] if len(ranges) == 1 else None
    async with await store.open_record(what.record, single, artifact_id=what.artifact_id) as content:
        if len(ranges) > 1:
            return await _send_parts(request, content, headers, ranges)
        status = HTTPStatus.OK
        if single is not None:
            status = HTTPStatus.PARTIAL_CONTENT
            headers[hdrs.CONTENT_RANGE] = single.content_range(size)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = content.byte_range.length
        await response.prepare(request)
        await _copy(content, content.byte_range, response)
        return response


def _ranges(request: web.Request, record: ObjectRecord) -> tuple[ByteRange, ...]:
    header = request.headers.get(hdrs.RANGE)
    if header is None or request.method != hdrs.METH_GET:
        return ()
    if not conditional.range_applies(request.headers.get(hdrs.IF_RANGE), record.identity.blake3):
        return ()
    return parse_range(header, record.identity.size_bytes)


async def _send_parts(
    request: web.Request, content: LocalContent, headers: dict[str, str], ranges: tuple[ByteRange, ...]
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
    headers = {**headers, hdrs.CONTENT_TYPE: f"multipart/byteranges; boundary={boundary}"}
    response = web.StreamResponse(status=HTTPStatus.PARTIAL_CONTENT, headers=headers)
    response.content_length = sum(map(len, heads)) + sum(item.length for item in ranges) + len(tail)
    await response.prepare(request)
    for head, item in zip(heads, ranges, strict=True):
        await response.write(head)
        await _copy(content, item, response)
    await response.write(tail)
    return response


async def _copy(content: LocalContent, byte_range: ByteRange, response: web.StreamResponse) -> None:
    try:
        async for chunk in content.chunks(byte_range):
            await response.write(chunk)
    except StorageError as error:
        # The status line is out: only a broken connection can still tell the client that this is not the whole.
        raise ConnectionAbortedError(f"content ended early: {error}") from error


def _headers(what: Representation) -> dict[str, str]:
    headers = {
        hdrs.CONTENT_TYPE: what.media_type,
        hdrs.ETAG: conditional.entity_tag(what.record.identity.blake3),
        hdrs.ACCEPT_RANGES: "bytes",
        "Repr-Digest": repr_digest(what.record.identity.sha256),
        hdrs.CONTENT_DISPOSITION: _disposition(what.file_name),
        # Bytes under a digest never change, but they can be deleted: a cache asks, and is answered 304.
        hdrs.CACHE_CONTROL: "no-cache",
        **_UNTRUSTED,
    }
    if what.location is not None:
        headers[hdrs.CONTENT_LOCATION] = what.location
    return headers


def _disposition(file_name: str | None) -> str:
    # RFC 6266 with RFC 8187's extended form alone: it needs no quoting rules that clients disagree on
    return "attachment" if file_name is None else f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    kept = (hdrs.ETAG, hdrs.CACHE_CONTROL, hdrs.CONTENT_LOCATION)  # RFC 9110, 15.4.5
    return {name: headers[name] for name in kept if name in headers}
