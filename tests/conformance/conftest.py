"""The ports of the data's side, bound to each implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backends import FORMS, LOCAL_FORMS, Place, empty_root, make_place, root_directory
from tests.syscalls import Syscalls

__all__ = ["empty_root", "root_directory"]


@pytest.fixture(params=FORMS)
async def place(
    request: pytest.FixtureRequest, empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """Every backend in turn."""
    made = make_place(request.param, empty_root, monkeypatch)
    yield made
    await made.backend.close()


@pytest.fixture(params=LOCAL_FORMS)
async def local(
    request: pytest.FixtureRequest, empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """Every form of those that keep files."""
    made = make_place(request.param, empty_root, monkeypatch)
    yield made
    await made.backend.close()


@pytest.fixture
def syscalls(root_directory: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Syscalls:
    """The system calls of the test. Made after the place, whose own substitutes it must see."""
    for name in ("place", "local"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    return Syscalls(root_directory, monkeypatch)
