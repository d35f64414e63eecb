"""The local backend in every form, and the system calls under it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backends import LOCAL_FORMS, Place, empty_root, make_place, root_directory, shared_memory
from tests.syscalls import Syscalls

__all__ = ["empty_root", "root_directory", "shared_memory"]


@pytest.fixture(params=LOCAL_FORMS)
async def local(
    request: pytest.FixtureRequest, empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """Every form of the local backend in turn."""
    made = make_place(request.param, empty_root, monkeypatch)
    yield made
    await made.backend.close()


@pytest.fixture
def syscalls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Syscalls:
    """The system calls of the test. Made after the backend, whose own substitutes it must see."""
    if "local" in request.fixturenames:
        local: Place = request.getfixturevalue("local")
        return Syscalls(local.directory.parent, monkeypatch)
    return Syscalls(request.getfixturevalue("shared_memory"), monkeypatch)
