"""docs/BENCHMARKS.md: the newest result of each suite, as tables and plots."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks import plots
from benchmarks.machine import PROJECT
from benchmarks.results import Result, newest
from benchmarks.tables import describe, table

PAGE = PROJECT / "docs" / "BENCHMARKS.md"

_TITLES = {
    "kernel": "Digest kernels",
    "ingest": "Uploads",
    "serve": "Downloads",
    "registry": "The event log",
    "search": "A million artifacts",
}
# a suite's line that stands in every panel of its plot
_REFERENCES = {"kernel": "hashlib, then wheel"}
_HEAD = """\
# Benchmarks

Written by `make bench-report` from the newest results under benchmarks/results; do not edit it. `make bench` measures
on your machine, `artifactstore bench --server URL` a server of yours.

Contenders take turns in one run, in another order each time; figures are medians, with quartiles. A ratio is the median
of the ratios within a turn. 1 GB is 10^9 bytes. Client and servers share the machine. Where a server answers before the
bytes are synced, the suite syncs them, and the time counts until then; what it did until its answer has a column of its
own. CPU-seconds are those of the server's processes. Nothing here asserts a time: what is not reached says so, and
[PERFORMANCE.md](PERFORMANCE.md) says what bounds it."""


def write(results: Path, page: Path = PAGE) -> Path:
    """Write the page, and the plots beside the results; the page."""
    found = newest(results)
    parts = [_HEAD]
    for suite in (*_TITLES, *(name for name in found if name not in _TITLES)):
        parts.append(f"## {_TITLES.get(suite, suite)}")
        parts += _section(found[suite], page) if suite in found else [f"Not measured yet: `make bench-{suite}`."]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _section(file: Path, page: Path) -> Iterator[str]:
    result = Result.load(file)
    facts = {**result.machine, **result.settings}
    yield table(("", ""), [(name.replace("_", " "), str(value)) for name, value in facts.items()])
    for plot in _plots(result, file.parent):
        yield f"![{plot.stem}]({os.path.relpath(plot, page.parent)})"
    yield describe(result)


def _plots(result: Result, directory: Path) -> Iterator[Path]:
    if result.grid:
        yield _written(
            directory / f"{result.suite}.svg", plots.lines("GB/s, median", result, _REFERENCES.get(result.suite))
        )
        return
    for work in dict.fromkeys(row.work for row in result.rows):
        rows = [row for row in result.rows if row.work == work]
        name = f"{result.suite}-{re.sub('[^a-z0-9]+', '-', work.lower()).strip('-')}.svg"
        yield _written(directory / name, plots.bars(work, rows[0].unit, rows))


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
