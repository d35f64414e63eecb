"""A server in a process of its own: when it listens, what CPU it used, what memory it needed at most."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from artifactstore.traffic import Peer
from benchmarks.machine import PROJECT

_START_SECONDS = 30.0
_CPU_CLOCK = 2  # CPUCLOCK_SCHED: of a process


class NotMeasuredError(Exception):
    """A contender cannot run here; the message says why."""


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A process that listens on a loopback port. Leaving its context ends it."""

    def __init__(self, command: Callable[[int], Sequence[str]], log: Path) -> None:
        port = free_port()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command(port), cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.peer = Peer("127.0.0.1", port)
        self._await(log)

    def _await(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((self.peer.host, self.peer.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)  # until it listens, or the deadline
        self.stop()
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise NotMeasuredError(f"it did not start: {' '.join(last)}")

    def _tree(self) -> list[int]:
        """The process and its descendants."""
        found, waiting = [], [self._process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since
                    waiting += map(int, task.read_text().split())
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the process tree so far; what kernel threads write back for it is not in it."""
        # clock_getcpuclockid(3), which Python has for threads only: to the nanosecond, where /proc counts ticks
        return sum(time.clock_gettime((~pid << 3) | _CPU_CLOCK) for pid in self._tree())

    def reset_peak(self) -> None:
        """Forget the peak of memory so far."""
        for pid in self._tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mib(self) -> float:
        """The most memory that was resident since `reset_peak`, summed over the process tree."""
        kib = 0
        for pid in self._tree():
            found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
            kib += int(found[1]) if found else 0
        return kib / 1024

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
