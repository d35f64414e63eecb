"""Which request a line of code works for: a request id, and a W3C Trace Context (level 1) that goes on from caller to
callee.

The gateway sets a `Scope` for each request; a caller of the library can set one with `continued`. Log lines name it,
and the client of a server sends it on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from artifactstore.domain.errors import InvalidInputError

TRACEPARENT = "traceparent"
# version, trace id, parent id, flags; what follows belongs to a later version
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED = 0x01
_LONGEST = 512  # of a later version's


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, and the span in it that works here."""

    trace_id: str
    span_id: str
    sampled: bool = False

    @classmethod
    def begun(cls) -> Self:
        """A trace of our own. It says that nobody records it, for we do not."""
        identifiers = os.urandom(24).hex()
        return cls(identifiers[:32], identifiers[32:])

    @classmethod
    def parse(cls, header: str) -> Self | None:
        """A new span of the trace that a `traceparent` names; None when it is malformed."""
        match = _TRACEPARENT.fullmatch(header) if len(header) <= _LONGEST else None
        if match is None or match[1] == "ff" or (match[1] == "00" and match[5] is not None):
            return None
        if not match[2].strip("0") or not match[3].strip("0"):
            return None
        return cls(match[2], os.urandom(8).hex(), bool(int(match[4], 16) & _SAMPLED))

    def header(self) -> str:
        """The `traceparent` for what this span asks of others."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


class Scope:
    """What is being worked on. Its trace is made when it is first asked for: most requests log nothing."""

    __slots__ = ("_header", "_trace", "request_id")

    def __init__(self, request_id: str | None, traceparent: str | None) -> None:
        self.request_id = request_id
        self._header = traceparent
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """The caller's trace, or a new one if it has none that is well-formed."""
        if self._trace is None:
            self._trace = (Trace.parse(self._header) if self._header is not None else None) or Trace.begun()
        return self._trace


SCOPE: ContextVar[Scope | None] = ContextVar("scope", default=None)


@contextmanager
def continued(traceparent: str) -> Iterator[Trace]:
    """Work in the trace that a `traceparent` header names: requests to a server carry it. InvalidInputError."""
    if Trace.parse(traceparent) is None:
        raise InvalidInputError("a traceparent is written 00-<32 hex>-<16 hex>-<2 hex>", field=TRACEPARENT)
    scope = Scope(None, traceparent)
    token = SCOPE.set(scope)
    try:
        yield scope.trace
    finally:
        SCOPE.reset(token)
