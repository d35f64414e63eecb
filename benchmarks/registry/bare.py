"""What the rows alone cost: sqlite3, executemany, a commit for every batch, with the registry's tables and pragmas."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from artifactstore.domain.artifact import Artifact
from benchmarks.turns import Sample

_EVENTS = "SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
_OBJECT = "SELECT * FROM objects WHERE blake3 = ?"
_ARTIFACT = "SELECT * FROM artifacts WHERE id = ?"
_NAME = "SELECT * FROM names WHERE namespace = ? AND name = ?"
_LABEL = "SELECT * FROM artifact_labels WHERE key = ? AND namespace = ? AND name = ? AND version = ?"
_USAGE = "UPDATE namespace_usage SET objects = objects + ?, size_bytes = size_bytes + ? WHERE namespace = ?"
_EVENTS_EACH = 2  # an upload of new bytes to a new name: the object's and the artifact's

type Rows = dict[str, list[tuple[Any, ...]]]


class BareLog:
    """A copy of the registry's database that knows nothing of what it holds. Its pragmas are those of every log."""

    def __init__(self, file: Path, like: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._source = sqlite3.connect(f"file:{like}?mode=ro", uri=True, isolation_level=None)
        self._source.backup(self._connection)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        (self._seq,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()

    def append(self, artifacts: Sequence[Artifact], batch: int) -> Sample:
        """Write the rows that the registry made of these, its newest, committing after so many."""
        batches = [self._read(part) for part in batched(artifacts, batch)]
        begin, cpu = time.perf_counter(), time.thread_time()
        for rows in batches:
            self._write(rows)
        seconds, used = time.perf_counter() - begin, time.thread_time() - cpu
        return Sample(_EVENTS_EACH * len(artifacts), seconds, used)

    def _read(self, artifacts: Sequence[Artifact]) -> Rows:
        read = self._source.execute
        events = read(_EVENTS, (self._seq, _EVENTS_EACH * len(artifacts))).fetchall()
        self._seq = events[-1][0]
        return {
            "events": events,
            "objects": [read(_OBJECT, (item.identity.blake3.value,)).fetchone() for item in artifacts],
            "artifacts": [read(_ARTIFACT, (item.id.bytes,)).fetchone() for item in artifacts],
            "names": [read(_NAME, (item.namespace, item.name)).fetchone() for item in artifacts],
            "artifact_labels": [
                read(_LABEL, (key, item.namespace, item.name, item.version)).fetchone()
                for item in artifacts
                for key in item.metadata.labels
            ],
        }

    def _write(self, rows: Rows) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for table, values in rows.items():
            marks = ", ".join("?" * len(values[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
        for namespace in {row[1] for row in rows["artifacts"]}:
            connection.execute(_USAGE, (1, 4096, namespace))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'views_seq'", (str(rows["events"][-1][0]),))
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close both databases."""
        self._source.close()
        self._connection.close()
