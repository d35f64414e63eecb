"""What was built: extensions whose stacks cannot be executed and whose tables cannot be written to."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from artifactstore.hashing import _kernel
from artifactstore.storage import _publisher

PROJECT = Path(__file__).parents[2]
BUILT = pytest.mark.parametrize("built", [_kernel.__file__, _publisher.__file__], ids=["kernel", "publisher"])


def readelf(built: str, *options: str) -> str:
    if shutil.which("readelf") is None:  # beside every compiler that can build the kernel
        pytest.fail("readelf is missing (Debian: binutils)")
    return subprocess.run(["readelf", "--wide", *options, built], check=True, capture_output=True, text=True).stdout


def with_headers(source: Path) -> str:
    """A file of assembly and, in turn, what it includes."""
    text = source.read_text()
    included = (source.parent / name for name in re.findall(r'^#include "(.+)"', text, re.MULTILINE))
    return text + "".join(with_headers(file) for file in included if file.is_file())


@BUILT
def test_no_stack_can_be_executed(built: str) -> None:
    (flags,) = re.findall(r"^\s*GNU_STACK(?:\s+0x\w+){5}\s+([RWE ]+?)\s+0x", readelf(built, "--segments"), re.MULTILINE)
    assert flags == "RW"
    for source in (PROJECT / "asm").glob("*/*.S"):  # the linker would believe one file that says nothing
        assert ".note.GNU-stack" in with_headers(source), source


@BUILT
def test_what_is_written_cannot_be_executed_and_what_is_executed_not_written(built: str) -> None:
    segments = re.findall(r"^\s*LOAD(?:\s+0x\w+){5}\s+([RWE ]+?)\s+0x", readelf(built, "--segments"), re.MULTILINE)
    assert segments
    assert not [flags for flags in segments if "W" in flags and "E" in flags]
    assert "TEXTREL" not in readelf(built, "--dynamic")


@BUILT
def test_addresses_are_bound_at_the_start_and_then_read_only(built: str) -> None:
    assert "GNU_RELRO" in readelf(built, "--segments")
    assert re.search(r"\((FLAGS|BIND_NOW)\).*BIND_NOW|\(FLAGS_1\).*NOW", readelf(built, "--dynamic"))


@BUILT
def test_stacks_are_checked(built: str) -> None:
    assert "__stack_chk_fail" in readelf(built, "--dyn-syms")


@BUILT
def test_only_the_modules_are_visible(built: str) -> None:
    rows = re.findall(r"(?:FUNC|OBJECT)\s+GLOBAL\s+DEFAULT\s+\d+\s+(\S+)", readelf(built, "--dyn-syms"))
    modules = {name for name in rows if name.startswith("PyInit_")}
    assert modules == ({"PyInit__kernel", "PyInit__face"} if built == _kernel.__file__ else {"PyInit__publisher"})
    assert {name for name in rows if name.startswith(("ah_", "publisher_"))} == set()
