"""A sample of the soak: the same, for some seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.run import soak


@pytest.mark.timeout(600)  # the load is for seconds; the starts take what the machine has left
async def test_a_gateway_that_is_killed_under_mixed_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    known = await soak(tmp_path / "root", 15.0, 20261129)
    assert known.kept
    assert {"put_small", "put_shared", "read_range", "search"} <= set(known.done)
