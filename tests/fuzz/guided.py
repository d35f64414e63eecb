"""Targets under atheris: our sources are instrumented once, and each target runs in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

_MOST_BYTES = 8192
_MOST_SECONDS = 20  # for one input: what takes longer is a finding


def run(names: list[str], seconds: int, corpus: Path, found: Path) -> str | None:
    """Each target for so long; the name of the first that found something."""
    with atheris.instrument_imports(include=["artifactstore"]):  # type: ignore[attr-defined]  # the stubs lack it
        from tests.fuzz.targets import TARGETS
    for name in names or list(TARGETS):
        child = os.fork()
        if child == 0:
            options = [
                sys.argv[0],
                str(found / name),
                str(corpus / name),
                f"-max_total_time={seconds}",
                f"-max_len={_MOST_BYTES}",
                f"-timeout={_MOST_SECONDS}",
                f"-artifact_prefix={found}/{name}-",
                "-print_final_stats=1",
                "-verbosity=0",
            ]
            print(f"--- {name}", file=sys.stderr, flush=True)
            atheris.Setup(options, TARGETS[name])
            atheris.Fuzz()  # ends the process
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            return name
    return None
