"""hashlib, and hashlib then the wheel, where OpenSSL believes that the CPU has no SHA-NI.

OpenSSL reads its mask when a process starts, so this is a process of its own: it reads lines `<way> <size> <calls>` and
answers `<seconds> <cpu seconds>`, which lets it take its turn among the contenders of the main process.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

import blake3

from benchmarks import machine
from benchmarks.turns import Sample

HASHLIB = "hashlib SHA-256, no SHA-NI"
PAIR = "hashlib, then wheel, no SHA-NI"
_MASK = ":~0x20000000"  # CPUID 7.0, EBX bit 29: SHA


class Masked:
    """The process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kernel.masked"],
            cwd=machine.PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "OPENSSL_ia32cap": _MASK},
        )

    def sample(self, way: str, size: int, calls: int) -> Sample:
        """One turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{'pair' if way == PAIR else 'hashlib'} {size} {calls}\n")
        seconds, cpu = map(float, self._process.stdout.readline().split())
        return Sample(size * calls, seconds, cpu)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # the end of its input ends it


def _serve() -> None:
    data = b""
    for line in sys.stdin:
        way, size, calls = line.split()
        if len(data) != int(size):
            data = os.urandom(int(size))
        begin, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(calls)):
            hashlib.sha256(data).digest()
            if way == "pair":
                blake3.blake3(data, max_threads=1).digest()
        print(time.perf_counter() - begin, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    _serve()
