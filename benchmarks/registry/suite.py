"""The turns of the registry suite: at every length of the log, both append a block of events each, in turns.

In between the log is made longer with nobody waiting, and the other one is a copy of it.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import uvloop

from artifactstore.domain.artifact import Artifact
from artifactstore.registry.commands import Upload
from artifactstore.registry.events import ArtifactCreated
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import ArtifactQuery
from benchmarks import machine
from benchmarks.registry.bare import BareLog
from benchmarks.registry.filling import fill, upload
from benchmarks.results import Ratio, Result, Row
from benchmarks.turns import Sample, Summary, cost

MILESTONES = (10_000, 1_000_000)
_WRITERS = 64
_BLOCK = 1024  # uploads, of two events each
_WINDOW = 10  # blocks a milestone, whose median is its figure
_QUERIES = 200
_LOOKUPS = 20  # a request
_SAMPLES = 100  # places in the log whose artifacts are asked for
_PAGE = 100
_FOUND = 16  # artifacts a page by prefix: so many are there at every milestone
_REBUILT = (
    100_000  # events: a rebuild of a million takes six minutes, at two thirds of this rate (results of 2026-11-29)
)
OURS, BARE = "artifact-store", "bare sqlite3 loop"
_NOTES = {OURS: "decided, hashed, folded, committed", BARE: f"the same rows, a commit for each {_WRITERS} uploads"}


@dataclass(slots=True)
class _Run:
    """What has been measured."""

    rows: list[Row] = field(default_factory=list)
    at: dict[int, tuple[list[Sample], list[Sample]]] = field(default_factory=dict)  # windows by milestone
    p50_ms: dict[str, list[float]] = field(default_factory=dict)  # of each question, at every milestone


def run(*, root: Path, milestones: Sequence[int] = MILESTONES, block: int = _BLOCK) -> Result:
    """Measure, in the directory `root`, when the log has so many events."""
    facts = machine.facts(root)
    rows, ratios = uvloop.run(_measure(root, sorted(milestones), block))
    settings: dict[str, str | int | float] = {
        "milestones": ", ".join(map(str, sorted(milestones))),
        "waiting_writers": _WRITERS,
        "uploads_per_turn": block,
    }
    return Result("registry", facts, settings, tuple(rows), tuple(ratios))


async def _measure(root: Path, milestones: Sequence[int], block: int) -> tuple[list[Row], list[Ratio]]:
    state = _Run()
    file = root / "registry" / DATABASE_FILE
    for milestone in milestones:
        registry = await Registry.open(file.parent, reserve=None)
        log_id = registry.log_id
        await registry.close()
        await asyncio.to_thread(fill, file, log_id, milestone)
        registry = await Registry.open(file.parent, reserve=None)
        bare = BareLog(root / f"bare-{milestone}.sqlite", file)
        try:
            await _take_turns(state, registry, bare, milestone, block)
            known = await _sample(registry, milestone)
            await _query(state, registry, known, milestone)
            await _look_up(state, registry, known, milestone)
            if milestone <= _REBUILT:
                await _rebuild(state, registry, milestone)
        finally:
            bare.close()
            await registry.close()
    return state.rows, _ratios(state)


# --- appending ------------------------------------------------------------------------------------------------------


async def _take_turns(state: _Run, registry: Registry, bare: BareLog, milestone: int, block: int) -> None:
    ours: list[Sample] = []
    theirs: list[Sample] = []
    for _ in range(_WINDOW):
        sample, artifacts = await _append(registry, block)
        ours.append(sample)
        theirs.append(bare.append(artifacts, _WRITERS))  # on the loop's thread: nothing else wants it now
    state.at[milestone] = ours, theirs
    work = f"events appended by {_WRITERS} waiting writers, at {milestone:,}"
    for name, samples in zip((OURS, BARE), state.at[milestone], strict=True):
        state.rows.append(Row.of(work, name, "events/s", samples, _NOTES[name]))


async def _append(registry: Registry, uploads: int) -> tuple[Sample, list[Artifact]]:
    """Each writer records an upload, waits until it is durable, and records the next."""
    left = iter([upload() for _ in range(uploads)])
    artifacts: list[Artifact] = []

    async def write() -> None:
        for wanted in left:
            stored = wanted.upload
            assert isinstance(stored, Upload)
            artifact, _ = await registry.record_artifact(
                stored.identity,
                backend_id=stored.backend_id,
                primary_algorithm=stored.primary_algorithm,
                namespace=wanted.namespace,
                name=wanted.name,
                metadata=wanted.metadata,
                actor="bench",
            )
            artifacts.append(artifact)

    head = await registry.head()
    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write() for _ in range(_WRITERS)))
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    return Sample(await registry.head() - head, seconds, used), artifacts


# --- asking ---------------------------------------------------------------------------------------------------------


async def _sample(registry: Registry, milestone: int) -> list[Artifact]:
    """Artifacts from all over the log."""
    known: list[Artifact] = []
    for _ in range(_SAMPLES):
        for recorded in await registry.events(random.randrange(milestone), 20):
            if recorded.type == ArtifactCreated.type:
                artifact = await registry.artifact(UUID(recorded.subject.removeprefix("artifact:")))
                assert artifact is not None
                known.append(artifact)
    return known


async def _query(state: _Run, registry: Registry, known: Sequence[Artifact], milestone: int) -> None:
    chosen = random.Random(1)

    def any_artifact() -> Artifact:
        return chosen.choice(known)

    def search() -> Awaitable[object]:
        item = any_artifact()
        return registry.artifacts(ArtifactQuery(item.namespace, name_prefix=item.name[:9], limit=_FOUND))

    def latest() -> Awaitable[object]:
        item = any_artifact()
        return registry.latest(item.namespace, item.name)

    questions: dict[str, Callable[[], Awaitable[object]]] = {
        f"a page of {_PAGE} events": lambda: registry.events(chosen.randrange(milestone), _PAGE),
        f"a page of {_FOUND} artifacts by namespace and prefix": search,
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
        state.p50_ms.setdefault(name, []).append(ordered[len(ordered) // 2])
        figures = {"p50_ms": ordered[len(ordered) // 2], "p99_ms": ordered[int(0.99 * len(ordered))]}
        rates = Summary.of(1 / sample.seconds for sample in samples)
        state.rows.append(Row(f"queries, {milestone:,} events", name, "queries/s", rates, figures, "one at a time"))


async def _look_up(state: _Run, registry: Registry, known: Sequence[Artifact], milestone: int) -> None:
    """Many requests that each ask for one row after the other."""
    chosen, samples = random.Random(2), []

    async def ask() -> None:
        for _ in range(_LOOKUPS):
            item = chosen.choice(known)
            await registry.object(item.identity.blake3)
            await registry.latest(item.namespace, item.name)

    for _ in range(_WINDOW):
        begin, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ask() for _ in range(_WRITERS)))
        amount = 2 * _LOOKUPS * _WRITERS
        samples.append(Sample(amount, time.perf_counter() - begin, time.process_time() - cpu))
    work = f"lookups of an object and of a name by {_WRITERS} requests at once"
    state.rows.append(Row.of(work, f"{milestone:,} events", "lookups/s", samples))


async def _rebuild(state: _Run, registry: Registry, milestone: int) -> None:
    begin, cpu = time.perf_counter(), time.process_time()
    events = await registry.rebuild()
    sample = Sample(events, time.perf_counter() - begin, time.process_time() - cpu)
    note = f"leaves checked; peak memory of the process {_peak_mib():.0f} MiB"
    state.rows.append(Row.of("rebuild of all views", f"{milestone:,} events", "events/s", [sample], note))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
        for question, times in state.p50_ms.items():
            work = f"{question}, at {last:,} / at {first:,} events"
            note = f"medians, {times[0]:.2f} and {times[-1]:.2f} ms"
            found.append(Ratio(work, times[-1] / times[0], 1.5, at_most=True, note=note))
    return found
