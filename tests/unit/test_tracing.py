from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.errors import InvalidInputError
from artifactstore.tracing import SCOPE, Scope, Trace, continued

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-fe", False),  # flags that level 1 does not know
        (f"cc-{TRACE}-{PARENT}-01", True),  # a later version
        (f"cc-{TRACE}-{PARENT}-01-what the future brings", True),
    ],
)
def test_a_trace_goes_on_in_a_span_of_its_own(header: str, sampled: bool) -> None:
    trace = Trace.parse(header)
    assert trace is not None
    assert (trace.trace_id, trace.sampled) == (TRACE, sampled)
    assert trace.span_id != PARENT
    assert trace.header() == f"00-{TRACE}-{trace.span_id}-0{int(sampled)}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01-more",
        f"cc-{TRACE}-{PARENT}-01more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"cc-{TRACE}-{PARENT}-01-" + "x" * 500,
    ],
)
def test_what_is_malformed_is_no_trace(header: str) -> None:
    assert Trace.parse(header) is None
    with pytest.raises(InvalidInputError, match="traceparent"), continued(header):
        pass


@given(
    st.text(HEX, min_size=32, max_size=32).filter(lambda text: text.strip("0")),
    st.text(HEX, min_size=16, max_size=16).filter(lambda text: text.strip("0")),
    st.integers(0, 255),
)
def test_every_well_formed_header_is_parsed(trace_id: str, parent: str, flags: int) -> None:
    trace = Trace.parse(f"00-{trace_id}-{parent}-{flags:02x}")
    assert trace is not None
    assert (trace.trace_id, trace.sampled) == (trace_id, bool(flags & 1))


@given(st.text(f"{HEX}-", max_size=60))
def test_what_is_parsed_is_written_as_it_came(text: str) -> None:
    trace = Trace.parse(text)
    if trace is not None:
        assert text[3:35] == trace.trace_id
        assert Trace.parse(trace.header()) is not None


def test_a_trace_that_is_begun_is_well_formed_and_no_other() -> None:
    one, two = Trace.begun(), Trace.begun()
    assert Trace.parse(one.header()) is not None
    assert len({one.trace_id, two.trace_id, one.span_id, two.span_id}) == 4


def test_a_scope_has_one_trace() -> None:
    assert Scope("a", f"00-{TRACE}-{PARENT}-01").trace.trace_id == TRACE
    scope = Scope("a", "malformed")
    assert scope.trace is scope.trace


async def test_a_scope_ends_with_its_block_and_reaches_what_it_starts() -> None:
    async def inner() -> str | None:
        scope = SCOPE.get()
        return None if scope is None else scope.trace.trace_id

    with continued(f"00-{TRACE}-{PARENT}-01") as trace:
        assert trace.trace_id == TRACE
        assert await asyncio.create_task(inner()) == TRACE
    assert await inner() is None
