"""The ceilings: programs in C that make builds, and plain writes past the page cache."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from pathlib import Path

from benchmarks.machine import PROJECT
from benchmarks.processes import NotMeasuredError
from benchmarks.turns import Sample

_PIECE = 2**20


def program(name: str) -> str:
    """The path of `benchmarks/opponents/<name>.c`, built by make."""
    target = f"build/bench-{name}"
    try:
        made = subprocess.run(
            ["make", "--no-print-directory", target], cwd=PROJECT, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NotMeasuredError(f"make: {error.strerror}") from error
    if made.returncode != 0:
        raise NotMeasuredError(f"it did not build: {made.stderr.strip().splitlines()[-1]}")
    return str(PROJECT / target)


def publish(command: str, directory: Path, *, threads: int, files: int) -> Sample:
    """A turn of the file protocol alone."""
    ran = subprocess.run(
        [command, str(directory), str(threads), str(files)], capture_output=True, text=True, check=True
    )
    seconds, cpu = map(float, ran.stdout.split())
    return Sample(files, seconds, cpu)


def write_direct(directory: Path, size: int) -> Sample:
    """A turn of O_DIRECT writes of aligned buffers into a new file, synced; NotMeasuredError where there is none."""
    size -= size % _PIECE
    file = directory / "direct"
    buffer = mmap.mmap(-1, _PIECE)
    buffer.write(os.urandom(_PIECE))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT, 0o600)
    except OSError as error:
        raise NotMeasuredError(f"O_DIRECT: {error.strerror}") from error
    try:
        begin, cpu = time.perf_counter(), time.thread_time()
        os.posix_fallocate(descriptor, 0, max(size, 1))
        for _ in range(size // _PIECE):
            os.write(descriptor, buffer)
        os.fdatasync(descriptor)
        return Sample(size, time.perf_counter() - begin, time.thread_time() - cpu)
    finally:
        os.close(descriptor)
        file.unlink()
        buffer.close()
