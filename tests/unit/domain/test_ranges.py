from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.ranges import MAX_RANGES, ByteRange, RangeNotSatisfiable, parse_range

SPEC = st.one_of(
    st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 300).map(lambda first: f"{first}-"),
    st.integers(0, 300).map(lambda length: f"-{length}"),
)


def model(specs: list[str], size: int) -> list[list[int]] | None:
    """RFC 9110 by enumeration: the offsets of each satisfiable range; None for a set that is malformed."""
    found = []
    for spec in specs:
        first, _, last = spec.partition("-")
        if not first:
            offsets = list(range(size))[-int(last) :] if int(last) else []
        elif last and int(last) < int(first):
            return None
        else:
            offsets = [offset for offset in range(size) if int(first) <= offset and (not last or offset <= int(last))]
        found.append(offsets)
    return [offsets for offsets in found if offsets]


@given(st.lists(SPEC, min_size=1, max_size=5), st.integers(0, 250))
def test_agrees_with_enumeration(specs: list[str], size: int) -> None:
    expected = model(specs, size)
    header = "bytes=" + ", ".join(specs)
    if expected is None:
        assert parse_range(header, size) == ()
    elif not expected:
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, size)
    elif len(expected) > 1 and sum(map(len, expected)) > size:
        assert parse_range(header, size) == ()
    else:
        assert [list(range(item.start, item.stop)) for item in parse_range(header, size)] == expected


@given(st.text(max_size=60), st.integers(0, 2**63))
def test_any_text_is_answered(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            ranges = parse_range(header, size)
        except RangeNotSatisfiable as error:
            assert error.size == size
        else:
            assert all(0 <= item.start < item.stop <= size for item in ranges)


def test_more_ranges_than_the_limit_are_ignored() -> None:
    header = "bytes=" + ",".join(f"{index * 2}-{index * 2}" for index in range(MAX_RANGES + 1))
    assert parse_range(header, 10_000) == ()


@pytest.mark.parametrize("header", ["bytes=٣-٤", "bytes=1-²", "bytes =0-1", "bytes= 0-1", "bytes=\t0-1", " bytes=0-1"])
def test_digits_are_ascii_and_no_space_stands_around_the_sign(header: str) -> None:
    assert parse_range(header, 100) == ()


@pytest.mark.parametrize("digits", ["9" * 20, "9" * 50_000])
def test_positions_of_any_length_are_beyond_the_end(digits: str) -> None:
    assert parse_range(f"bytes=5-{digits}", 100) == (ByteRange(5, 95),)
    assert parse_range(f"bytes=-{digits}", 100) == (ByteRange(0, 100),)
    assert parse_range(f"bytes={'0' * 50_000}7-8", 100) == (ByteRange(7, 2),)
    assert parse_range(f"bytes={digits}-8", 100) == ()
    for header in (f"bytes={digits}-", f"bytes={digits}-{digits}"):
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, 100)


def test_a_range_knows_its_header() -> None:
    assert ByteRange(5, 10).content_range(100) == "bytes 5-14/100"
    with pytest.raises(ValueError, match="negative"):
        ByteRange(-1, 3)
