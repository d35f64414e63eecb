"""The turns of the registry suite: both logs grow together, a block of events each, up to every milestone."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.queries import ArtifactQuery
from artifactstore.registry.registry import Registry
from benchmarks import machine
from benchmarks.registry.bare import BareLog
from benchmarks.results import Ratio, Result, Row
from benchmarks.turns import Sample, Summary, cost

MILESTONES = (10_000, 100_000)
_WRITERS = 64
_BLOCK = 1024  # uploads, of two events each
_WINDOW = 10  # blocks before a milestone whose median is its figure
_QUERIES = 200
_PAGE = 100
OURS, BARE = "artifact-store", "bare sqlite3 loop"
_NOTES = {OURS: "decided, hashed, folded, committed", BARE: f"the same rows, a commit for each {_WRITERS} uploads"}
_METADATA = ArtifactMetadata(kind="report", labels={"team": "bench", "stage": "final"})


@dataclass(slots=True)
class _Run:
    """What has been measured, and what of the log is needed for queries."""

    registry: Registry
    bare: BareLog
    rows: list[Row] = field(default_factory=list)
    at: dict[int, tuple[list[Sample], list[Sample]]] = field(default_factory=dict)  # windows by milestone
    known: list[Artifact] = field(default_factory=list)
    events: int = 0


def run(*, root: Path, milestones: Sequence[int] = MILESTONES, block: int = _BLOCK) -> Result:
    """Measure, in the directory `root`, when the log has so many events."""
    facts = machine.facts(root)
    rows, ratios = uvloop.run(_measure(root, sorted(milestones), block))
    settings: dict[str, str | int | float] = {
        "milestones": ", ".join(map(str, sorted(milestones))),
        "waiting_writers": _WRITERS,
        "uploads_per_turn": block,
    }
    missing = [] if max(milestones) >= 1_000_000 else ["a log of 1,000,000 events: ask for it by --million"]
    return Result("registry", facts, settings, tuple(rows), tuple(ratios), tuple(missing))


async def _measure(root: Path, milestones: Sequence[int], block: int) -> tuple[list[Row], list[Ratio]]:
    directory = root / "registry"
    registry = await Registry.open(directory, reserve=None)
    bare = BareLog(root / "bare.sqlite", directory / DATABASE_FILE)
    state = _Run(registry, bare)
    try:
        for milestone in milestones:
            await _grow(state, milestone, block)
            await _query(state, milestone)
            await _rebuild(state, milestone)
    finally:
        bare.close()
        await registry.close()
    return state.rows, _ratios(state)


# --- appending ------------------------------------------------------------------------------------------------------


async def _grow(state: _Run, milestone: int, block: int) -> None:
    ours: list[Sample] = []
    bare: list[Sample] = []
    while state.events < milestone:
        sample, artifacts = await _append(state.registry, block)
        ours.append(sample)
        bare.append(state.bare.append(artifacts, _WRITERS))  # on the loop's thread: nothing else wants it now
        state.events += int(sample.amount)
        state.known = random.sample(state.known + artifacts, k=min(5000, len(state.known) + len(artifacts)))
    window = ours[-_WINDOW:], bare[-_WINDOW:]
    state.at[milestone] = window
    work = f"events appended by {_WRITERS} waiting writers, up to {milestone:,}"
    for name, samples in zip((OURS, BARE), window, strict=True):
        state.rows.append(Row.of(work, name, "events/s", samples, _NOTES[name]))


async def _append(registry: Registry, uploads: int) -> tuple[Sample, list[Artifact]]:
    """Each writer records an upload, waits until it is durable, and records the next."""
    left = iter([_identity() for _ in range(uploads)])
    artifacts: list[Artifact] = []

    async def write() -> None:
        for identity in left:
            artifact, _ = await registry.record_artifact(
                identity,
                backend_id="local",
                primary_algorithm=Algorithm.BLAKE3,
                namespace=f"bench-{identity.blake3.value[0] % 4}",
                name=f"run-{identity.blake3.hex[:2]}/report-{identity.blake3.hex[2:18]}.json",
                metadata=_METADATA,
                actor="bench",
            )
            artifacts.append(artifact)

    head = await registry.head()
    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write() for _ in range(_WRITERS)))
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    return Sample(await registry.head() - head, seconds, used), artifacts


def _identity() -> ObjectIdentity:
    return ObjectIdentity(Digest.blake3(os.urandom(32)), Digest.sha256(os.urandom(32)), 4096)


# --- asking ---------------------------------------------------------------------------------------------------------


async def _query(state: _Run, milestone: int) -> None:
    registry, chosen = state.registry, random.Random(1)

    def any_artifact() -> Artifact:
        return chosen.choice(state.known)

    def search() -> Awaitable[object]:
        item = any_artifact()
        return registry.artifacts(ArtifactQuery(item.namespace, name_prefix=item.name[:9], limit=_PAGE))

    def latest() -> Awaitable[object]:
        item = any_artifact()
        return registry.latest(item.namespace, item.name)

    questions: dict[str, Callable[[], Awaitable[object]]] = {
        f"a page of {_PAGE} events": lambda: registry.events(chosen.randrange(milestone), _PAGE),
        f"a page of {_PAGE} artifacts by namespace and prefix": search,
        "the latest version of a name": latest,
        "an object by its BLAKE3 digest": lambda: registry.object(any_artifact().identity.blake3),
        "an object by its SHA-256 digest": lambda: registry.object(any_artifact().identity.sha256),
    }
    turns: dict[str, list[Sample]] = {name: [] for name in questions}
    for _ in range(_QUERIES):
        for name, ask in questions.items():
            begin = time.perf_counter()
            await ask()
            turns[name].append(Sample(1, time.perf_counter() - begin))
    for name, samples in turns.items():
        ordered = sorted(1000 * sample.seconds for sample in samples)
        figures = {"p50_ms": ordered[len(ordered) // 2], "p99_ms": ordered[int(0.99 * len(ordered))]}
        rates = Summary.of(1 / sample.seconds for sample in samples)
        state.rows.append(Row(f"queries, {milestone:,} events", name, "queries/s", rates, figures, "one at a time"))


async def _rebuild(state: _Run, milestone: int) -> None:
    begin, cpu = time.perf_counter(), time.process_time()
    events = await state.registry.rebuild()
    sample = Sample(events, time.perf_counter() - begin, time.process_time() - cpu)
    state.rows.append(Row.of("rebuild of all views", f"{milestone:,} events", "events/s", [sample], "leaves checked"))


# --- the figures to reach -------------------------------------------------------------------------------------------


def _ratios(state: _Run) -> list[Ratio]:
    found = [
        Ratio.of(f"events appended, at {milestone:,} / {BARE}", *window, 0.5) for milestone, window in state.at.items()
    ]
    first, last = min(state.at), max(state.at)
    if first != last:
        ours, bare = (
            Summary.of(map(cost, state.at[last][at])).median / Summary.of(map(cost, state.at[first][at])).median
            for at in (0, 1)
        )
        note = f"ours {ours:.2f}, the loop's {bare:.2f}; CPU time"
        work = f"growth of the cost per event from {first:,} to {last:,} / the loop's growth"
        found.append(Ratio(work, ours / bare if bare else 0.0, 1.3, at_most=True, note=note))
    return found
