"""A gateway process of its own, over a root of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def gateway(work: Path, **settings: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address, and its process; it is stopped in the end."""
    environment = {**os.environ, **{f"ARTIFACTSTORE_{name.upper()}": str(value) for name, value in settings.items()}}
    command = [sys.executable, "-m", "artifactstore", "serve", "--root", str(work / "root"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=work, env=environment) as process:
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


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """What a process has used of the processors."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(process: subprocess.Popen[str]) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def shown(**facts: object) -> str:
    """One line for people and for programs."""
    return json.dumps(facts)
