"""One hasher for each thread, in C, of every kernel that this CPU can run (tests/kernel/threads.c)."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from artifactstore.hashing import kernels

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def kernel() -> None:
    """All of them, in a process of its own: these tests run once."""


@pytest.mark.parametrize("assembly", [True, False], ids=["assembly", "portable"])
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_hashers_of_different_threads_share_nothing_unguarded(tmp_path: Path, sanitizers: str, assembly: bool) -> None:
    """ThreadSanitizer does not see into assembly: the portable build shows it all that C does."""
    program = tmp_path / "threads"
    sources = [*PROJECT.glob("native/*.c"), PROJECT / "tests/kernel/threads.c"]
    if assembly:
        sources += PROJECT.glob(f"asm/{platform.machine()}/*.S")
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-fsanitize={sanitizers}", "-pthread"]
    flags += ["-fno-sanitize-recover=all", f"-I{PROJECT}/native", *(["-DAH_ASM=1"] if assembly else [])]
    subprocess.run(["cc", *flags, *map(str, sources), "-o", str(program)], check=True)
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == (list(kernels()) if assembly else ["portable"])
