"""`python -m benchmarks`: run suites, print their tables, keep their results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks import report
from benchmarks.machine import PROJECT
from benchmarks.results import RESULTS, Result
from benchmarks.tables import describe

_FILES = click.Path(path_type=Path, file_okay=False)


@click.group()
def suites() -> None:
    """What this store does beside what else could do it."""


def _suite(run: Callable[..., Result], results: Path, **settings: Any) -> None:
    result = run(**{name: value for name, value in settings.items() if value is not None})
    click.echo(describe(result))
    click.echo(f"\nkept in {result.store(results)}\n")


@contextmanager
def _work(root: Path | None) -> Iterator[Path]:
    """A directory for what the contenders store: under --root, else beside the results, since /tmp may be memory."""
    parent = (root or PROJECT / "build").resolve()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as directory:
        yield Path(directory)


_results = click.option("--results", type=_FILES, default=RESULTS, help="Where results are kept.")
_root = click.option("--root", type=_FILES, help="A directory on the disk to measure (default: build/).")
_turns = click.option("--turns", type=click.IntRange(min=1), help="Turns of each contender, if time allows.")


@suites.command()
@_turns
@_results
def kernel(results: Path, turns: int | None) -> None:
    """The digest kernels."""
    from benchmarks.kernel import suite

    _suite(suite.run, results, turns=turns)


@suites.command()
@click.option("--size", type=click.IntRange(min=1), help="The large upload, in MiB.")
@_turns
@_root
@_results
def ingest(results: Path, root: Path | None, turns: int | None, size: int | None) -> None:
    """Uploads, large and small."""
    from benchmarks.ingest import suite

    with _work(root) as work:
        _suite(suite.run, results, root=work, turns=turns, size=size and size * 2**20)


@suites.command()
@click.option("--size", type=click.IntRange(min=1), help="The large download, in MiB.")
@_turns
@_root
@_results
def serve(results: Path, root: Path | None, turns: int | None, size: int | None) -> None:
    """Downloads, large and small."""
    from benchmarks.serve import suite

    with _work(root) as work:
        _suite(suite.run, results, root=work, turns=turns, size=size and size * 2**20)


@suites.command()
@click.option("--events", type=click.IntRange(min=1), multiple=True, help="Measure when the log is so long.")
@_root
@_results
def registry(results: Path, root: Path | None, events: tuple[int, ...]) -> None:
    """The event log and its views."""
    from benchmarks.registry import suite

    with _work(root) as work:
        _suite(suite.run, results, root=work, milestones=events or suite.MILESTONES)


@suites.command()
@click.option("--artifacts", type=click.IntRange(min=1), help="How many are recorded.")
@_root
@_results
def search(results: Path, root: Path | None, artifacts: int | None) -> None:
    """A registry of a million artifacts."""
    from benchmarks.search import suite

    with _work(root) as work:
        _suite(suite.run, results, root=work, artifacts=artifacts)


@suites.command("report")
@_results
def write_report(results: Path) -> None:
    """Write docs/BENCHMARKS.md from the newest results."""
    click.echo(f"wrote {report.write(results)}")


if __name__ == "__main__":
    suites()
