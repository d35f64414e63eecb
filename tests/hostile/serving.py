"""A gateway process of its own, over a root of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def gateway(work: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address, and its process; it is stopped in the end."""
    command = [sys.executable, "-m", "artifactstore", "serve", "--root", str(work / "root"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=work) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if " serves " in line:
                    yield line.rpartition(" on ")[2].strip(), process
                    return
            raise RuntimeError("the gateway did not start")
        finally:
            process.terminate()


def resident_bytes(process: subprocess.Popen[str]) -> int:
    """What a process holds of memory."""
    fields = Path(f"/proc/{process.pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) * 1024


def shown(**facts: object) -> str:
    """One line for people and for programs."""
    return json.dumps(facts)
