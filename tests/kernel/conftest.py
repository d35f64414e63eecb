"""Every test of this directory runs once for each kernel of this CPU. What a host cannot check is said at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from artifactstore.hashing import active_kernel, kernels
from artifactstore.hashing._kernel import lib

NOT_CHECKED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_CHECKED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[NOT_CHECKED]:
        terminalreporter.write_line(f"NOT CHECKED: {line}", red=True)


@pytest.fixture(params=kernels(), autouse=True, scope="module")
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    library: Any = lib
    before = active_kernel()
    assert library.ah_select(request.param.encode()) == library.AH_OK
    yield request.param
    assert active_kernel() == request.param
    assert library.ah_select(before.encode()) == library.AH_OK
