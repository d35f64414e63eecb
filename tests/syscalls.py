"""The system calls that the suite's process makes through `os`: watched, made to fail, or broken off at the n-th.

`pathlib` calls through `os` as well, so it is watched too. Only calls under one directory count.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from artifactstore.storage.backends import localfs

#: What changes the file system, or makes a change durable. `close` is left out: the end of a process does it anyway.
CHANGES = ("open", "mkdir", "link", "rename", "unlink", "write", "writev", "pwrite", "fsync", "fdatasync", "ftruncate")
#: What only looks, and may block all the same.
LOOKS = ("pread", "stat", "lstat", "statvfs", "access")


class Crash(Exception):
    """The process ended here. Not an OSError: nothing may clean up after it."""


@dataclass(frozen=True)
class Call:
    """One call: its name, the paths it is about relative to the watched directory, and the thread that made it."""

    name: str
    paths: tuple[str, ...]
    thread: int

    def __str__(self) -> str:
        return " ".join((self.name, *self.paths))


def not_at_once(_path: str, _flags: int) -> int | None:
    """In the place of `open_cached`: as where the disk would have to be waited for, so that a thread opens the file."""
    return None


class Syscalls:
    """Calls under `directory`, in order, from the beginning of the test (or `forget`)."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory.resolve()
        self.calls: list[Call] = []
        self._faults: list[Callable[[Call], BaseException | None]] = []
        self._lock = threading.Lock()
        for name in CHANGES + LOOKS:
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))
        monkeypatch.setattr(localfs, "open_cached", not_at_once)

    def _watched(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            paths = tuple(self._relative(argument, kwargs.get("dst_dir_fd")) for argument in args[:2])
            known = tuple(path for path in paths if path is not None)
            if known:
                call = Call(name, known, threading.get_ident())
                with self._lock:
                    self.calls.append(call)
                    faults = [error for fault in self._faults if (error := fault(call)) is not None]
                if faults:
                    raise faults[0]
            return inner(*args, **kwargs)

        return watched

    def _relative(self, argument: object, directory: int | None) -> str | None:
        """The argument as a path below the watched directory; None if it is not one."""
        if isinstance(argument, bool) or not isinstance(argument, int | str | Path):
            return None
        if isinstance(argument, int):
            if not (link := Path(f"/proc/self/fd/{argument}")).is_symlink():
                return None
            path = link.readlink()
        elif directory is not None and "/" not in str(argument):
            path = Path(f"/proc/self/fd/{directory}").readlink() / argument
        else:
            path = Path(argument)
        if not path.is_relative_to(self._directory):
            return None
        return str(path.relative_to(self._directory))

    def forget(self) -> None:
        """Begin a new trace."""
        self.calls.clear()

    def trace(self, *names: str) -> list[str]:
        """The calls of these names so far, as text."""
        return [str(call) for call in self.calls if call.name in names]

    @contextmanager
    def failing(self, *names: str, error: int, path: str | None = None, times: int | None = None) -> Iterator[None]:
        """Meanwhile these calls (of any path, or of those that begin so) raise the OSError; at most `times` times."""
        left = [times]

        def fault(call: Call) -> BaseException | None:
            if call.name not in names or (path is not None and not call.paths[-1].startswith(path)):
                return None
            if left[0] is not None:
                if not left[0]:
                    return None
                left[0] -= 1
            return OSError(error, os.strerror(error))

        with self._faulty(fault):
            yield

    @contextmanager
    def crashing(self, nth: int) -> Iterator[None]:
        """Meanwhile the n-th change from here (from 1), and all that would follow, are not made: Crash."""
        seen = [0]

        def fault(call: Call) -> BaseException | None:
            if call.name in CHANGES:
                seen[0] += 1
            return Crash(str(call)) if seen[0] >= nth else None

        with self._faulty(fault):
            yield

    @contextmanager
    def breaking(self, nth: int, error: int) -> Iterator[None]:
        """Meanwhile the n-th change from here (from 1), and only that, raises the OSError."""
        seen = [0]

        def fault(call: Call) -> BaseException | None:
            if call.name in CHANGES:
                seen[0] += 1
                if seen[0] == nth:
                    return OSError(error, os.strerror(error))
            return None

        with self._faulty(fault):
            yield

    @contextmanager
    def _faulty(self, fault: Callable[[Call], BaseException | None]) -> Iterator[None]:
        self._faults.append(fault)
        try:
            yield
        finally:
            self._faults.remove(fault)


def descriptors() -> dict[str, str]:
    """The open descriptors of this process, with what they are open on."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists
            found[entry.name] = str(entry.readlink())
    return found


def descriptors_under(directory: Path) -> list[str]:
    """What this process has open below `directory`, files without a name included."""
    return [target for target in descriptors().values() if target.startswith(f"{directory.resolve()}/")]


def waits_in_open(pid: int) -> bool:
    """Whether a thread of a process has been in `openat` for two looks: it waits for the other end of a named pipe."""
    number = {"x86_64": "257", "aarch64": "56"}[platform.machine()]

    def threads() -> set[str]:
        tasks = Path(f"/proc/{pid}/task").glob("*/syscall")
        found = {task: task.read_text().split() for task in tasks}
        return {f"{task} {call}" for task, call in found.items() if call and call[0] == number}

    before = threads()
    return bool(before & threads())
