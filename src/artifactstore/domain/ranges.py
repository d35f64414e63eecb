"""Byte ranges of HTTP (RFC 9110, section 14), as arithmetic on numbers.

`parse_range` answers one of three things: a tuple of ranges to send, an empty tuple (the header is to be ignored and
the whole sent), or it raises RangeNotSatisfiable. Ignored are: another unit, bad syntax, a backwards range, and sets
that cost more to send than the whole does (more than MAX_RANGES parts, or overlaps that add up to more than the size).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from artifactstore.domain.errors import InvalidInputError

#: More parts than this in one request are answered with the whole (RFC 9110, 14.2 and 17.15, allow it).
MAX_RANGES = 64
#: No representation is as large: a position beyond it is as good as this one, and its digits need no conversion.
_BEYOND = 10**19
_MAX_DIGITS = 19
_SPEC = re.compile(r"(?:(\d+)-(\d+)?|-(\d+))\Z", re.ASCII)


class RangeNotSatisfiable(Exception):  # noqa: N818 - the name RFC 9110 gives it
    """No range of the set overlaps the representation. `size` is the representation's size in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"no requested range lies within {size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes from offset `start`; both in bytes, `length` at least 0."""

    start: int
    length: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.length < 0:
            raise ValueError(f"a byte range has no negative part: {self.start}, {self.length}")

    @property
    def stop(self) -> int:
        """The offset after the last byte."""
        return self.start + self.length

    def check_within(self, size: int) -> None:
        """InvalidInputError unless the range lies within `size` bytes."""
        if self.stop > size:
            raise InvalidInputError(
                f"the range ends at byte {self.stop} of an object of {size} bytes", field="byte_range"
            )

    def content_range(self, size: int) -> str:
        """The Content-Range value for this range of a representation of `size` bytes. Not for an empty range."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str, size: int) -> tuple[ByteRange, ...]:
    """The ranges that a Range header asks of `size` bytes, in the order asked; () to ignore the header.

    Raises RangeNotSatisfiable when the syntax is right and no range overlaps the representation.
    """
    unit, equals, specs = header.partition("=")
    if not equals or unit.lower() != "bytes" or specs[:1] in (" ", "\t"):  # no space around "=": RFC 9110, 14.1.1
        return ()
    parts = [part.strip(" \t") for part in specs.split(",")]
    parts = [part for part in parts if part]  # RFC 9110, 5.6.1: empty list elements are ignored
    if not parts or len(parts) > MAX_RANGES:
        return ()
    ranges: list[ByteRange] = []
    for part in parts:
        match = _SPEC.match(part)
        if match is None:
            return ()
        first, last, suffix = (None if digits is None else _number(digits) for digits in match.group(1, 2, 3))
        if first is None:
            length = min(suffix or 0, size)
            ranges.append(ByteRange(size - length, length))
        elif last is not None and last < first:
            return ()
        elif first < size:
            ranges.append(ByteRange(first, (size if last is None else min(last + 1, size)) - first))
    satisfiable = tuple(item for item in ranges if item.length)
    if not satisfiable:
        raise RangeNotSatisfiable(size)
    if len(satisfiable) > 1 and sum(item.length for item in satisfiable) > size:
        return ()
    return satisfiable


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MAX_DIGITS else _BEYOND
