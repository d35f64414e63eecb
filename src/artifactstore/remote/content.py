"""Content as a server sends it: what its headers say, and its bytes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Self

import aiohttp
from aiohttp import hdrs

from artifactstore.domain import errors
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.ranges import ByteRange
from artifactstore.remote.connection import reason


def content_facts(response: aiohttp.ClientResponse) -> tuple[ObjectIdentity, ByteRange]:
    """The object and the range that an answer with content, or to HEAD, is of. KeyError or ValueError: it is none."""
    blake3 = Digest.parse(response.headers[hdrs.ETAG].strip('"'))
    encoded = response.headers["Repr-Digest"].removeprefix("sha-256=:").removesuffix(":")
    sha256 = Digest.sha256(base64.b64decode(encoded, validate=True))
    length = int(response.headers[hdrs.CONTENT_LENGTH])
    if response.status != 206:
        return ObjectIdentity(blake3, sha256, length), ByteRange(0, length)
    first, _, rest = response.headers[hdrs.CONTENT_RANGE].removeprefix("bytes ").partition("-")
    size = int(rest.partition("/")[2])
    return ObjectIdentity(blake3, sha256, size), ByteRange(int(first), length)


class RemoteContent:
    """An object's bytes, or a range of them, as an answer that is still coming (`spi.Content`)."""

    def __init__(self, response: aiohttp.ClientResponse, identity: ObjectIdentity, byte_range: ByteRange) -> None:
        self._response = response
        self.identity = identity
        self.byte_range = byte_range

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes; RemoteError if the answer ends early."""
        received = 0
        try:
            if self.byte_range.length:  # an empty range was asked for by HEAD
                async for chunk in self._response.content.iter_any():
                    received += len(chunk)
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise errors.RemoteError(f"the content ended early: {reason(error)}") from error
        if received != self.byte_range.length:
            raise errors.RemoteError(f"the content ended early, after {received} of {self.byte_range.length} bytes")

    async def close(self) -> None:
        """Give up the connection if the content was not read to its end. Idempotent."""
        self._response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
