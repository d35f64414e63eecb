"""The kernel below Python: a short fuzz in C, and what the assembled objects say of themselves."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest

from artifactstore.hashing import _kernel, kernels

PROJECT = Path(__file__).parents[2]
MACHINE = platform.machine()
ASSEMBLY = sorted((PROJECT / "asm" / MACHINE).glob("*.S"))
#: What was built: without assembly, the portable kernel is all there is.
ASSEMBLED = len(kernels()) > 1
C_FILES = sorted((PROJECT / "native").glob("*.c"))


@pytest.fixture(autouse=True, scope="module")
def kernel() -> None:
    """Not once for each kernel: these run them all."""


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compile_c(target: Path, *sources: Path) -> Path:
    assembly: list[str | Path] = [*ASSEMBLY, "-DAH_ASM=1"] if ASSEMBLED else []
    run("cc", "-std=c11", "-O1", "-Inative", *C_FILES, *assembly, *sources, "-o", target)
    return target


def test_a_short_fuzz(tmp_path: Path) -> None:
    told = run(compile_c(tmp_path / "fuzz", PROJECT / "tests" / "kernel" / "fuzz.c"), "3", "20261124")
    entered = dict(re.findall(r"^(\S+) (\d+)$", told, re.MULTILINE))
    assert all(int(entered[name]) > 0 for name in kernels()), told


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("objects")
    for source in ASSEMBLY:
        run("cc", "-c", "-Inative", source, "-o", directory / f"{source.stem}.o")
    found = sorted(directory.iterdir())
    assert len(found) == len(ASSEMBLY)
    return found


def test_no_object_asks_for_an_executable_stack(objects: list[Path]) -> None:
    for path in objects:
        (line,) = re.findall(r"\.note\.GNU-stack\s.*", run("readelf", "-SW", path))
        assert " X" not in line, path
    assert not re.search(r"GNU_STACK.*E\b", run("readelf", "-lW", str(_kernel.__file__)))


@pytest.mark.skipif(MACHINE != "x86_64", reason="IBT and SHSTK are marks of x86-64")
def test_every_object_is_marked_for_branch_targets(objects: list[Path]) -> None:
    for path in objects:
        assert "IBT, SHSTK" in run("readelf", "-n", path), path


def test_every_symbol_is_hidden_and_every_function_has_a_size_and_unwinding(objects: list[Path]) -> None:
    functions = 0
    for path in objects:
        for line in run("readelf", "-sW", path).splitlines():
            fields = line.split()
            if len(fields) < 8 or fields[4] != "GLOBAL" or fields[6] == "UND":
                continue
            assert fields[5] == "HIDDEN", (path, line)
            if fields[3] == "FUNC":
                functions += 1
                assert int(fields[2], 0) > 0, (path, line)
        if " FUNC " in run("readelf", "-sW", path):
            assert "DW_CFA" in run("readelf", "--debug-dump=frames", path), path
    assert functions >= len(objects)


@pytest.mark.skipif(MACHINE != "x86_64", reason="endbr64 is an instruction of x86-64")
def test_every_function_begins_with_a_branch_target(objects: list[Path]) -> None:
    for path in objects:
        code = run("objdump", "-d", "--no-show-raw-insn", path)
        for name, first in re.findall(r"^[0-9a-f]+ <(ah_\w+)>:\n\s*[0-9a-f]+:\s*(\w+)", code, re.MULTILINE):
            assert first == "endbr64", (path, name)


def test_the_library_needs_no_relocation_of_its_text() -> None:
    library = str(_kernel.__file__)
    assert "TEXTREL" not in run("readelf", "-dW", library)
    exported = [line for line in run("readelf", "--dyn-syms", "-W", library).splitlines() if " ah_" in line]
    assert exported == []
