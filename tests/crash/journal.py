"""What a driver has been promised, kept outside of the volume on which it works.

A journal is lines of JSON, each written whole before the driver goes on. The harness takes the file system away and
kills the process, never the machine: what is written to another file system is there afterwards, without a sync.

A claim is a key and the value that it has once the operation is acknowledged. Until then, the key may have its former
value or this one. When it has failed, either stays right until a later claim on the key is acknowledged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What a key is about that is not there.
ABSENT = None

type Value = Any  # what JSON holds


class Journal:
    """The writing end. `clock` is the number of calls so far, so that a claim is placed among them."""

    def __init__(self, path: Path, clock: Callable[[], int] = lambda: 0) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.clock = clock
        self._number = 0

    def intend(self, claims: Mapping[str, Value]) -> int:
        """Something that will make these true has begun; its number."""
        self._number += 1
        self._write("intend", number=self._number, claims=dict(claims))
        return self._number

    def done(self, number: int) -> None:
        """It is acknowledged."""
        self._write("done", number=number)

    def failed(self, number: int, error: Exception) -> None:
        """It is over, and was not acknowledged."""
        self._write("failed", number=number, error=f"{type(error).__name__}: {error}")

    def learned(self, claims: Mapping[str, Value]) -> None:
        """Something is true from now on."""
        self._write("done", number=0, claims=dict(claims))

    def finding(self, what: str) -> None:
        """Something was seen that must not be."""
        self._write("finding", what=what)

    def ended(self, calls: int) -> None:
        """The run came to its end, and made so many calls since something could go wrong."""
        self._write("ended", calls=calls)

    def _write(self, kind: str, **fields: Value) -> None:
        os.write(self.fd, (json.dumps({"kind": kind, "at": self.clock(), **fields}) + "\n").encode())


@dataclass(slots=True)
class _Key:
    allowed: list[Value]
    unanswered: list[Value] = field(default_factory=list)  # of those, what the last answer may not speak of
    running: dict[int, Value] = field(default_factory=dict)
    overlapping: dict[int, list[Value]] = field(default_factory=dict)


@dataclass(slots=True)
class Known:
    """What must be true of a store: each key has one of its values."""

    keys: dict[str, list[Value]] = field(default_factory=dict)
    unanswered: dict[str, list[Value]] = field(default_factory=dict)  # of those, what was never acknowledged
    findings: list[str] = field(default_factory=list)
    acknowledged: int = 0
    failed: list[str] = field(default_factory=list)
    calls: int | None = None  # of a run that came to its end, since something could go wrong


def read(*paths: Path, until: int | None = None) -> Known:
    """What the journals, one after the other, promise; of the last one only what was written by call `until`."""
    keys: dict[str, _Key] = {}
    known = Known()
    for place, path in enumerate(paths):
        end = until if place == len(paths) - 1 else None
        claims: dict[int, dict[str, Value]] = {}
        for line in path.read_bytes().splitlines():
            entry = json.loads(line)
            if end is not None and entry["at"] > end:
                continue
            _apply(keys, claims, known, entry)
        for key in keys.values():  # whoever ran when it ended may have come to its end or not
            key.allowed += key.running.values()
            key.unanswered += key.running.values()
            key.running.clear()
            key.overlapping.clear()
    known.keys = {name: key.allowed for name, key in keys.items()}
    known.unanswered = {name: key.unanswered for name, key in keys.items()}
    return known


def _apply(keys: dict[str, _Key], claims: dict[int, dict[str, Value]], known: Known, entry: dict[str, Value]) -> None:
    number = entry.get("number", 0)
    match entry["kind"]:
        case "intend":
            claims[number] = entry["claims"]
            for name, value in claims[number].items():
                key = keys.setdefault(name, _Key([ABSENT]))
                for other in key.running:
                    key.overlapping[other].append(value)
                key.overlapping[number] = list(key.running.values())
                key.running[number] = value
        case "done":
            known.acknowledged += 1
            for name, value in (entry.get("claims") or claims.get(number, {})).items():
                key = keys.setdefault(name, _Key([ABSENT]))
                key.running.pop(number, None)
                beside = key.overlapping.pop(number, [])
                key.allowed = [value, *beside]
                key.unanswered = beside
        case "failed":
            known.failed.append(entry["error"])
            for name, value in claims.get(number, {}).items():
                keys[name].running.pop(number, None)
                keys[name].overlapping.pop(number, None)
                keys[name].allowed.append(value)
                keys[name].unanswered.append(value)
        case "ended":
            known.calls = entry["calls"]
        case "finding":
            known.findings.append(entry["what"])
