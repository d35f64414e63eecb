"""Directories and system calls for the data plane's own parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends import shared_memory
from tests.syscalls import Syscalls

__all__ = ["shared_memory"]


@pytest.fixture
def syscalls(shared_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Syscalls:
    """The system calls of the test."""
    return Syscalls(shared_memory, monkeypatch)
