"""What one client may take of the gateway: time, connections, uploads at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Self

from aiohttp import hdrs, web

from artifactstore.api.fields import EVERY_ANSWER
from artifactstore.api.problems import problem
from artifactstore.settings import Settings

#: What a client that is refused for now is told to wait, in seconds.
_RETRY_AFTER = "1"


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of the same names (docs/operations.md)."""

    head_timeout: float = 20.0
    body_timeout: float = 60.0
    min_body_rate: int = 1024
    send_timeout: float = 60.0
    keepalive_timeout: float = 75.0
    max_connections: int = 2048
    max_uploads_per_client: int = 256
    max_target_bytes: int = 8190
    max_field_bytes: int = 131072
    max_fields: int = 128
    max_head_bytes: int = 262144
    max_framing_bytes: int = 1048576

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say."""
        return cls(**{item.name: getattr(settings, item.name) for item in fields(cls)})


class Pace:
    """How long one body may still be waited for.

    Time that the client lets pass is spent from an allowance of `body_timeout` seconds; bytes earn it back, at the rate
    of `min_body_rate`, never beyond the whole. Time in which the gateway itself is busy costs nothing.
    """

    def __init__(self, limits: Limits) -> None:
        self._whole = self.left = limits.body_timeout  # seconds
        self._rate = limits.min_body_rate

    def spend(self, seconds: float, received: int) -> None:
        """It was waited for so long, and so many bytes came."""
        earned = received / self._rate if self._rate else self._whole
        self.left = min(self._whole, self.left - seconds + earned)

    async def next(self, read: Callable[[], Awaitable[bytes]], clock: Callable[[], float]) -> bytes:
        """The next buffer that `read` gives; TimeoutError."""
        begun = clock()
        async with asyncio.timeout(self.left):
            buffer = await read()
        self.spend(clock() - begun, len(buffer))
        return buffer


class Framing:
    """What of one chunked body is not its data: sizes, extensions and ends of chunks, trailers.

    The parser counts the data alone, so the rest is what was received beside it: that costs nothing for a chunk. There
    may be as much framing as data, and `max_framing_bytes`; and trailers, or one extension, as much as a whole head.
    What came in one buffer with the request's head is not told from it, and not counted.
    """

    def __init__(self, limits: Limits, data_bytes: int) -> None:
        self._most_beyond_data = limits.max_framing_bytes
        self._most_at_once = limits.max_head_bytes
        self._before = self._data = data_bytes
        self._received = 0
        self._at_once = 0  # since there was data

    def add(self, received: int) -> None:
        """So many bytes have come; they may not be parsed yet."""
        self._received += received
        self._at_once += received

    def is_too_large(self, data_bytes: int) -> bool:
        """Whether it is more than it may be, when all that came is parsed, and so much of it was data."""
        if data_bytes != self._data:
            self._data, self._at_once = data_bytes, 0
        framing = self._received - (data_bytes - self._before)
        return framing > data_bytes + self._most_beyond_data or self._at_once > self._most_at_once


class FramingTooLargeError(web.HTTPBadRequest):
    """A body whose framing is larger than it may be."""

    code = "framing-too-large"

    def __init__(self) -> None:
        super().__init__(reason="send the body in larger chunks, or with its length, and little beside its data")


class UploadSlots:
    """Uploads under way by the address they come from."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: Counter[str | None] = Counter()

    @contextmanager
    def slot(self, client: str | None) -> Iterator[bool]:
        """Take one for as long as the block lasts; False if there is none left."""
        if self._taken[client] >= self._limit:
            yield False
            return
        self._taken[client] += 1
        try:
            yield True
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)
UPLOAD_SLOTS: web.AppKey[UploadSlots] = web.AppKey("upload_slots", UploadSlots)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def upload(handler: Handler) -> Handler:
    """A handler of uploads, of which a client has only so many at once."""

    async def limited(request: web.Request) -> web.StreamResponse:
        with request.app[UPLOAD_SLOTS].slot(request.remote) as taken:
            if taken:
                return await handler(request)
        answer = problem(
            HTTPStatus.TOO_MANY_REQUESTS, "too-many-uploads", "this client has too many uploads under way; wait for one"
        )
        answer.headers[hdrs.RETRY_AFTER] = _RETRY_AFTER
        return answer

    return limited


def crowded() -> bytes:
    """The whole answer to a connection that is one too many."""
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-connections", "the gateway is at its limit; try again")
    answer.headers[hdrs.RETRY_AFTER] = _RETRY_AFTER
    return _last_words(answer)


def head_too_large(most_bytes: int) -> bytes:
    """The whole answer to a head that is larger than it may be."""
    detail = f"a request's head has at most {most_bytes} bytes"
    return _last_words(problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", detail))


def _last_words(answer: web.Response) -> bytes:
    """An answer as it is written to a connection that has no request, and ends with it."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    fields = {
        hdrs.CONTENT_TYPE: answer.content_type,
        hdrs.CONTENT_LENGTH: str(len(body)),
        **EVERY_ANSWER,
        **({hdrs.RETRY_AFTER: answer.headers[hdrs.RETRY_AFTER]} if hdrs.RETRY_AFTER in answer.headers else {}),
        hdrs.CONNECTION: "close",
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *(f"{n}: {v}" for n, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
