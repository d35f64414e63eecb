"""What could not be checked on this host is said at the end of a run, line by line, however quiet it is."""

from __future__ import annotations

import pytest

NOT_CHECKED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_CHECKED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[NOT_CHECKED]:
        terminalreporter.write_line(f"NOT CHECKED: {line}", red=True)
