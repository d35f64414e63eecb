"""Conditional requests (RFC 9110, section 13) over strong entity tags: pure functions of header values.

The entity tag of content is always `"blake3:<hex>"`, so a condition is a set of digests, or `*`. Dates are not
conditions here: content under a digest has none, and a name's has an entity tag, which is stronger.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Literal

from artifactstore.domain.digest import Digest

_ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|\Z)')

type Tags = frozenset[str] | Literal["*"]


class Outcome(Enum):
    """What the conditions of a GET or HEAD lead to."""

    SEND = "send"
    NOT_MODIFIED = "not modified"
    FAILED = "failed"


def entity_tag(blake3: Digest) -> str:
    """The ETag of an object's content, quotes included."""
    return f'"{blake3}"'


def parse_tags(value: str, *, weak: bool) -> Tags:
    """The opaque tags of an If-Match (`weak=False`: weak tags never match) or If-None-Match header, or `*`.

    What follows the first syntax error is not read: a condition that cannot be understood names no tag.
    """
    if value.strip() == "*":
        return "*"
    tags: set[str] = set()
    position = 0
    while match := _ENTITY_TAG.match(value, position):
        if weak or not match[1]:
            tags.add(match[2])
        position = match.end()
        if position == len(value):
            break
    return frozenset(tags)


def evaluate(if_match: str | None, if_none_match: str | None, blake3: Digest) -> Outcome:
    """The order of RFC 9110, 13.2.2, for content that exists."""
    if if_match is not None:
        tags = parse_tags(if_match, weak=False)
        if tags != "*" and str(blake3) not in tags:
            return Outcome.FAILED
    if if_none_match is not None:
        tags = parse_tags(if_none_match, weak=True)
        if tags == "*" or str(blake3) in tags:
            return Outcome.NOT_MODIFIED
    return Outcome.SEND


def range_applies(if_range: str | None, blake3: Digest) -> bool:
    """Whether a Range header is to be looked at: no If-Range, or one that is this content's strong tag."""
    return if_range is None or if_range.strip() == entity_tag(blake3)


def digests_of(tags: Tags) -> frozenset[Digest] | Literal["*"]:
    """Tags as digests; a tag that is none can match nothing and is left out."""
    if tags == "*":
        return "*"
    return frozenset(Digest.parse(tag) for tag in tags if _BLAKE3.match(tag))


_BLAKE3 = re.compile(r"blake3:[0-9a-f]{64}\Z")
