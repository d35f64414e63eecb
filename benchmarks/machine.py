"""Where and when a run was made."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import ssl
import subprocess
import sysconfig
from datetime import UTC, datetime
from pathlib import Path

from artifactstore.hashing import active_kernel, kernels

PROJECT = Path(__file__).parents[1]


def facts(root: Path) -> dict[str, str | int | float]:
    """What a reader has to know to judge a figure; `root` is where the bytes were stored."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "file_system": _file_system(root),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "compiler": _compiler(),
        "digest_kernel": active_kernel(),
        "digest_kernels": ", ".join(kernels()),
    }


def directory_name(found: dict[str, str | int | float]) -> str:
    """`<date>-<cpu>-<commit>`: where the results of a run are kept."""
    cpu = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|@.*|processor", "", str(found["cpu"]).lower())).strip("-")
    return f"{str(found['date'])[:10]}-{cpu}-{found['commit']}"


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PROJECT), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        except FileNotFoundError:
            return ""

    # what a run writes itself does not make the sources others
    changed = git("status", "--porcelain", "--", ":!benchmarks/results", ":!docs/BENCHMARKS.md")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("-modified" if changed else "")


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(root: Path) -> str:
    """The type and options of the mount that `root` is on: the last of the longest mount points that lead to it."""
    best, answer = -1, "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        mount = Path(point.encode().decode("unicode_escape"))
        if root.resolve().is_relative_to(mount) and len(mount.parts) >= best:
            best, answer = len(mount.parts), f"{kind} ({options})"
    return answer


def _compiler() -> str:
    compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    for command in (compiler, "cc"):
        try:
            ran = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        return ran.stdout.splitlines()[0] if ran.stdout else command
    return "none"
