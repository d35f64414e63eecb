"""What an upload sends: headers that describe it, and its source, watched."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import quote

from aiohttp import hdrs

from artifactstore.dataplane.sources import Source, stream_of, wrong_length
from artifactstore.dataplane.spi import Buffer
from artifactstore.domain import errors
from artifactstore.domain.artifact import ArtifactMetadata
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.hashing import DualHasher
from artifactstore.spi import Condition

type Headers = list[tuple[str, str]]

#: An upload that is larger, or of unknown size, asks whether it is wanted before it sends its body, in bytes.
ASK_FIRST_BYTES = 1024 * 1024
# All that a header may hold and that is no escape.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_NOT_FOR_HEADERS = re.compile(r"\A\s|\s\Z|[\x00-\x1f\x7f]")


class Outgoing:
    """A source on its way to a server, as the asynchronous iterable that the client sends.

    The last buffer is held back until the whole is known to be what was announced: a body that breaks off before its
    end is not stored, so what is wrong here stores nothing there. `error` is what the source, or this, raised: the
    client tells of it as a failure of the connection. `begun` is called when the first buffer is wanted.
    """

    def __init__(
        self, source: Source, size_hint: int | None, expected: Sequence[Digest], begun: Callable[[], None]
    ) -> None:
        self._stream, size = stream_of(source)
        if size is not None and size_hint not in (None, size):
            raise wrong_length(size, size_hint)
        self._size = size if size is not None else size_hint
        self._expected = expected
        self._begun = begun
        self.error: Exception | None = None

    def headers(self) -> Headers:
        """Content-Length, where it is known. An empty body goes out chunked: only so can it break off."""
        return [(hdrs.CONTENT_LENGTH, str(self._size))] if self._size else []

    @property
    def asks_first(self) -> bool:
        """Whether it is large enough, or may be, to ask before it is sent."""
        return self._size is None or self._size > ASK_FIRST_BYTES

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        self._begun()
        try:
            async for buffer in self._checked():
                yield buffer
        except Exception as error:
            self.error = error
            raise

    async def _checked(self) -> AsyncIterator[Buffer]:
        hasher = DualHasher() if self._expected else None
        held: Buffer | None = None
        sent = 0
        async for buffer in self._stream:
            if not buffer:
                continue  # an empty chunk would end a chunked body
            sent += len(buffer)
            if self._size is not None and sent > self._size:
                raise wrong_length(sent, self._size)
            if held is not None:
                yield held
            if hasher is not None:
                await asyncio.to_thread(hasher.update, buffer)
            held = buffer
        if self._size is not None and sent != self._size:
            raise wrong_length(sent, self._size)
        if hasher is not None:
            digests = hasher.digests()
            for digest in self._expected:
                actual = digests.blake3 if digest.algorithm is Algorithm.BLAKE3 else digests.sha256
                if digest.value != actual:
                    found = Digest(digest.algorithm, actual)
                    raise errors.DigestMismatchError(f"{digest} was announced; the bytes sent are {found}")
        if held is not None:
            yield held


def announcement(expected: Sequence[Digest]) -> Headers:
    """The digests that a header can announce: SHA-256 alone is registered."""
    members = [
        f"sha-256=:{base64.b64encode(digest.value).decode()}:"
        for digest in expected
        if digest.algorithm is Algorithm.SHA256
    ]
    return [("Repr-Digest", ", ".join(members))] if members else []


def metadata_headers(metadata: ArtifactMetadata) -> Headers:
    """Checked metadata as an upload's headers."""
    pairs: Headers = [(hdrs.CONTENT_TYPE, metadata.media_type)]
    provenance = None if metadata.provenance is None else _provenance(metadata.provenance)
    for header, value in (
        ("Artifact-Kind", metadata.kind),
        ("Artifact-Retention", metadata.retention),
        ("Artifact-Provenance", provenance),
    ):
        if value is not None:
            pairs.append((header, value))
    pairs += [
        ("Artifact-Label", f"{quote(key, safe='')}={quote(value, safe='')}") for key, value in metadata.labels.items()
    ]
    return pairs


def _provenance(text: str) -> str:
    """Provenance as it is, or percent-encoded where a header would lose some of it: line breaks, outer white space."""
    if not _NOT_FOR_HEADERS.search(text):
        return text
    inner = quote(text[1:-1], safe=_PLAIN)
    return f"%{ord(text[0]):02X}{inner}{quote(text[-1], safe='')}"


def conditions(create_only: bool, if_match: Condition) -> Headers:
    """If-None-Match and If-Match."""
    pairs: Headers = [(hdrs.IF_NONE_MATCH, "*")] if create_only else []
    if if_match is not None:
        tags = "*" if if_match == "*" else ", ".join(f'"{digest}"' for digest in sorted(if_match))
        pairs.append((hdrs.IF_MATCH, tags))
    return pairs
