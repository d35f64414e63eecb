"""The lock against the pins: what is installed is what is pinned, and each file has a hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
LOCK = (PROJECT / "requirements.lock").read_text()


def test_the_lock_has_every_pin_and_nothing_else() -> None:
    pins = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    locked = re.findall(r"^([A-Za-z0-9._-]+==[^ ;]+)", LOCK, re.MULTILINE)
    assert {pin.partition(" ")[0] for pin in pins} == set(locked), "run make lock-hashes"


def test_each_has_hashes_and_none_an_address() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.findall(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", entry, re.MULTILINE), entry
    assert "://" not in LOCK


def test_the_installation_takes_nothing_without_a_hash() -> None:
    script = (PROJECT / "scripts" / "install").read_text()
    installs = re.findall(r'"\$uv" (?:pip|sync)(?:.*\\\n)*.*', script)
    assert len(installs) == 2
    for line in installs:
        assert ("--require-hashes" in line) or ("--no-deps" in line and "--no-build-isolation" in line)
