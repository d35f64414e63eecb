"""The preloaded library of `shim.c`: built, loaded into a campaign's process, and told what is to go wrong."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from enum import IntEnum
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")
_PRELOAD = "LD_PRELOAD"


class Action(IntEnum):
    """What happens at the N-th call; see shim.c."""

    COUNT = 0
    KILL = 1
    TORN = 2
    SHUTDOWN = 3
    ERROR = 4
    SHORT = 5


def build(directory: Path) -> Path:
    """Compile the library; its path. Another campaign may be running under the one that is there: it is replaced."""
    directory.mkdir(exist_ok=True)
    library, fresh = directory / "crash-shim.so", directory / f"crash-shim.so.{os.getpid()}"
    compiler = os.environ.get("CC", "cc")
    flags = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", "-shared", "-fPIC")
    subprocess.run([compiler, *flags, str(_SOURCE), "-o", str(fresh), "-lpthread"], check=True)
    return fresh.replace(library)


def preloaded() -> bool:
    """Whether this process runs under the library."""
    return "crash-shim.so" in os.environ.get(_PRELOAD, "")


def loading(library: Path) -> dict[str, str]:
    """The variables of a process that begins under the library."""
    return {_PRELOAD: str(library)}


def run_again(library: Path) -> None:
    """Begin this program anew, in this process, under the library."""
    os.environ.update(loading(library))
    os.execv(sys.executable, [sys.executable, "-m", "tests.crash", *sys.argv[1:]])


class Shim:
    """The library in this process. Only its forked children watch, and only one volume each."""

    def __init__(self) -> None:
        found = ctypes.CDLL(None)
        self._watch = found.crash_watch
        self._watch.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_int)
        self._at = found.crash_at
        self._at.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int)
        self._count = found.crash_count
        self._count.restype = ctypes.c_long
        self._last = found.crash_last
        self._last.restype = ctypes.c_char_p
        self._disarm = found.crash_disarm
        self._disarm.restype = None
        self._shutdown = found.crash_shutdown
        self._shutdown.argtypes = (ctypes.c_int,)

    def watch(self, volume: Path, *, record: int = -1, exempt: int = -1) -> None:
        """Count the calls that write to the file system of `volume`, below it; write them to the descriptor."""
        if self._watch(os.fsencode(volume.resolve()), record, exempt) != 0:
            raise OSError(f"{volume} cannot be watched")

    def at(self, nth: int, action: Action, argument: int = 0, *, sticky: bool = False) -> None:
        """Let the n-th call from here, from 1, go wrong; with `sticky` every one after it, too."""
        self._at(nth, action, argument, sticky)

    @property
    def count(self) -> int:
        """The calls so far."""
        return int(self._count())

    @property
    def last(self) -> str:
        """The name of the last call that went wrong; empty if none did."""
        return str(self._last().decode())

    def disarm(self) -> None:
        """Stop counting; nothing goes wrong any more."""
        self._disarm()

    def shutdown(self, flag: int) -> None:
        """Shut the watched file system down and end this process by SIGKILL."""
        self._shutdown(flag)
