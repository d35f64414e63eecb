"""Times as callers write them: RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from artifactstore.domain.errors import InvalidQueryError

_TEXT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str, *, field: str) -> datetime:
    """A time of RFC 3339, in UTC. One between two microseconds is the later: no record lies between them."""
    match = _TEXT.match(text)
    try:
        if match is None:
            raise ValueError
        nanoseconds = int((match[2] or "").ljust(9, "0"))
        whole = datetime.fromisoformat(match[1].upper() + match[3].upper())
        return in_utc(whole, field=field) + timedelta(microseconds=-(-nanoseconds // 1000))
    except (ValueError, OverflowError):
        raise InvalidQueryError(
            f"{field} is a time as RFC 3339 writes it, such as 2026-01-31T23:59:58Z; in a query a + is written %2B",
            field=field,
        ) from None


def in_utc(moment: datetime, *, field: str) -> datetime:
    """The same moment in UTC; InvalidQueryError unless it knows its time zone, and UTC has a year for it."""
    try:
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise InvalidQueryError(f"{field} is a time with a time zone, from the year 1 to 9999", field=field)
