"""Each entry of each kernel against the portable one, in C: registers, guard pages, alignments (entries/entries.c)."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from artifactstore.hashing import kernels

from .conftest import NOT_CHECKED


@pytest.fixture(autouse=True, scope="module")
def kernel() -> None:
    """Not once for each kernel: these run them all."""


RUN = Path(__file__).parent / "entries" / "run"
TOOL_MISSING = 3


def run(machine: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RUN, machine], capture_output=True, text=True, check=False)


def checked(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode == 0, result.stdout + result.stderr
    return [line.partition(":")[0] for line in result.stdout.splitlines() if line.endswith("results equal")]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="there is no assembly for this machine")
def test_the_kernels_of_this_machine() -> None:
    found = checked(run("native"))
    assert set(kernels()) <= set(found)


def test_the_kernel_of_aarch64_by_emulation(request: pytest.FixtureRequest) -> None:
    result = run("aarch64")
    if result.returncode == TOOL_MISSING and "CI" not in os.environ:
        request.config.stash[NOT_CHECKED].append(f"the aarch64 kernel. {result.stderr.strip()}")
        pytest.skip(result.stderr.strip())
    assert checked(result) == ["sha2-neon", "portable"]
