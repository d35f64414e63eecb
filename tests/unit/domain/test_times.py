from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.errors import InvalidQueryError
from artifactstore.domain.times import parse_time


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # what a zone shifts stays within the years there are
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_what_is_written_is_read(moment: datetime, zone: timezone) -> None:
    there = moment.replace(tzinfo=UTC).astimezone(zone)
    assert parse_time(there.isoformat(), field="t") == there
    assert parse_time(there.isoformat().lower(), field="t").tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [("58Z", 0), ("58.1z", 100000), ("58.000000001Z", 1), ("58.123456Z", 123456), ("58.123456001Z", 123457)],
)
def test_between_two_microseconds_is_the_later(text: str, microsecond: int) -> None:
    expected = datetime(2026, 1, 31, 23, 59, 58, microsecond, UTC)
    assert parse_time(f"2026-01-31T23:59:{text}", field="t") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-01-31", "2026-01-31T23:59Z", "2026-01-31T23:59:58", "2026-01-31 23:59:58Z"),
        *("2026-13-01T00:00:00Z", "2026-01-31T23:59:60Z", "2026-01-31T23:59:58+0100", "2026-01-31T23:59:58 01:00"),
        *("2026-01-31T23:59:58.Z", "2026-01-31T23:59:58.1234567890Z", "2026-01-31T23:59:58+24:00"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999999Z", "２026-01-31T23:59:58Z"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_time(text, field="created_after")
    assert caught.value.field == "created_after"
