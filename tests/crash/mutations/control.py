"""Mutation control: each sync and each ordering of the sources, taken out in turn, must turn the harness red.

A mutation is applied to a copy of the sources, and the cases that are about it are run there until the first finding.
Those that are `equivalent` cannot be told from outside of the process by what is promised; each says why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.crash import shim
from tests.crash.mutations.backups import BACKUPS
from tests.crash.mutations.log import LOG
from tests.crash.mutations.mutation import PACKAGE, Mutation
from tests.crash.mutations.objects import OBJECTS
from tests.crash.mutations.roots import ROOTS

SOURCES = Path(__file__).parents[3] / "src"
#: Seconds for the cases of one mutation.
_PATIENCE = 150

MUTATIONS = (*OBJECTS, *ROOTS, *LOG, *BACKUPS)


def control(only: str = "") -> int:
    """Apply each mutation in turn; the exit status says whether each did what is expected of it."""
    unexpected = 0
    library = shim.build(Path("build").absolute())
    for mutation in MUTATIONS:
        if only not in mutation.name:
            continue
        begun = time.monotonic()
        verdict, cases = _verdict(mutation, library)
        expected = verdict == ("red" if mutation.equivalent is None else "green")
        unexpected += not expected
        took = f"{cases} cases, {time.monotonic() - begun:.0f} s"
        print(f"{verdict:10}{mutation.name} ({took}){'' if expected else '   <-- NOT EXPECTED'}", flush=True)
    return bool(unexpected)


def _verdict(mutation: Mutation, library: Path) -> tuple[str, int]:
    """`red`; `green`, after all its cases; or `undecided`, when its time ran out; `broken`, when the harness failed.

    And how many cases that took.
    """
    with tempfile.TemporaryDirectory(prefix="crash-mutation-") as name:
        sources, counts = Path(name) / "src", Path(name) / "counts"
        shutil.copytree(SOURCES, sources)  # with what is compiled already: times are kept
        shutil.copytree(SOURCES.parent / "native", sources.parent / "native")
        mutation.apply(sources)
        if mutation.native:
            _compile(sources)
        environment = {**os.environ, **shim.loading(library), "PYTHONPATH": str(sources)}
        options = ("--first", "--counts", str(counts), *mutation.cases.split())
        with subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.crash", *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            out, ran_out = _output(running)
        report = json.loads(counts.read_text()) if counts.exists() else None
        if report is None or not (ran_out or running.returncode == bool(report["findings"])):
            print(out)
            return "broken", 0
    cases = sum(report["cases"].values())
    if report["findings"]:
        return "red", cases
    return ("undecided" if ran_out or cases == 0 else "green"), cases


def _compile(sources: Path) -> None:
    """Put a new publisher in the place of the one that was copied."""
    build = sources / PACKAGE / "storage" / "build.py"
    (sources / "native").symlink_to(sources.parent / "native")  # cffi looks for the C from where it puts the module
    code = f"import runpy; runpy.run_path({str(build)!r})['publisher'].compile(tmpdir={str(sources)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _output(running: subprocess.Popen[str]) -> tuple[str, bool]:
    """All it says, and whether it was ended because its time ran out."""
    try:
        return running.communicate(timeout=_PATIENCE)[0], False
    except subprocess.TimeoutExpired:
        running.terminate()  # it has file systems to unmount
        return running.communicate()[0], True
    except BaseException:
        running.terminate()
        raise
