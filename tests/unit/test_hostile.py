"""What decides `make hostile`: when the gateway is worse than nginx on the same bytes."""

from __future__ import annotations

import pytest

from tests.hostile.__main__ import is_worse


@pytest.mark.parametrize(
    ("ours", "theirs", "worse"),
    [
        ("201", "400", True),
        ("201 201", "201", True),
        ("hangs", "400", True),
        ("no HTTP", "close", True),
        ("no HTTP", "hangs", False),
        ("hangs", "hangs", False),
        ("400", "hangs", False),
        ("400", "201", False),
        ("close", "400", False),
        ("201 400", "201", False),
    ],
)
def test_worse_is_to_take_more_or_not_to_answer_where_nginx_does(ours: str, theirs: str, worse: bool) -> None:
    assert is_worse(ours, theirs, canary=False, their_canary=False) is worse


def test_worse_is_to_store_what_nginx_does_not() -> None:
    assert is_worse("400", "400", canary=True, their_canary=False)
    assert not is_worse("400", "400", canary=True, their_canary=True)
