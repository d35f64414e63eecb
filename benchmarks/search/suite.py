"""The search suite: artifacts recorded through the library, then every kind of question, near and far from its start.

Bytes are few: so many records of them are made that the views are as large as those of a gateway of some years.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from artifactstore import Artifact, ArtifactMetadata, Digest
from artifactstore.bootstrap import open_local
from artifactstore.settings import Settings
from artifactstore.spi import ArtifactPage
from artifactstore.store import Store
from benchmarks import machine
from benchmarks.results import Ratio, Result, Row
from benchmarks.turns import Sample, Summary

ARTIFACTS = 1_000_000
_WRITERS = 64
_NAMES, _NAMESPACES, _OBJECTS = 1000, 10, 1000
_KINDS, _MEDIA_TYPES, _TEAMS = 10, 5, 10
_FLAGGED = 50  # one in so many has a label that the others lack
_MADE_FROM = 10  # one in so many names an earlier one as its source
FAR = 100  # the page that is compared with the first
_VALUES = 10  # different values asked for, of each kind of question
_TIMES = 20  # that each page is asked for
_SMALL, _LARGE = 10, 100  # items a page
#: How much slower the far page may be: a cost that grew with the number would be about a hundredfold.
_GROWTH = 1.5

type Ask = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class _Run:
    """What was recorded, and what was measured of it."""

    artifacts: int
    far: int
    chosen: random.Random = field(default_factory=lambda: random.Random(1))
    objects: list[Digest] = field(default_factory=list)
    known: list[Artifact] = field(default_factory=list)  # some of all, in the order of recording
    rows: list[Row] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)


def run(*, root: Path, artifacts: int = ARTIFACTS, far: int = FAR) -> Result:
    """Measure, in the directory `root`, with so many artifacts; `far` is the page compared with the first."""
    facts = machine.facts(root)
    state = _Run(artifacts, far)
    uvloop.run(_measure(state, root / "search"))
    settings: dict[str, str | int | float] = {
        "artifacts": artifacts,
        "names": _NAMES,
        "objects": _OBJECTS,
        "waiting_writers": _WRITERS,
    }
    return Result("search", facts, settings, tuple(state.rows), tuple(state.ratios))


async def _measure(state: _Run, root: Path) -> None:
    settings = Settings.load(root=root)
    async with open_local(settings) as store:
        await _record(state, store)
    size = sum(file.stat().st_size for file in (root / "registry").iterdir())
    state.rows[0].figures["database_mib"] = size / 2**20
    async with open_local(settings) as store:
        for name, limit, terms in _searches(state):
            await _ask_pages(state, store, name, limit, terms)
        await _ask_records(state, store)


# --- recording ------------------------------------------------------------------------------------------------------


async def _record(state: _Run, store: Store) -> None:
    """Each writer records an artifact, waits until it is durable, and records the next."""
    for number in range(_OBJECTS):
        stored = await store.put_object(os.urandom(16 + 64 * number))
        state.objects.append(stored.identity.blake3)
    left = iter(range(state.artifacts))
    every = max(1, state.artifacts // 10_000)

    async def write() -> None:
        for number in left:
            namespace, name = _address(state.chosen.randrange(_NAMES))
            metadata = _metadata(state, number)
            artifact = await store.record_artifact(
                namespace, name, state.chosen.choice(state.objects), metadata=metadata
            )
            if number % every == 0:
                state.known.append(artifact)

    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write() for _ in range(_WRITERS)))
    sample = Sample(state.artifacts, time.perf_counter() - begin, time.process_time() - cpu)
    note = f"{sample.seconds:.0f} s in all; peak memory of the process {_peak_mib():.0f} MiB"
    work = f"{state.artifacts:,} artifacts recorded by {_WRITERS} waiting writers"
    state.rows.append(Row.of(work, "artifact-store", "events/s", [sample], note))


def _address(number: int) -> tuple[str, str]:
    return f"bench-{number % _NAMESPACES}", f"run-{number // _NAMESPACES % 10}/report-{number:04}"


def _metadata(state: _Run, number: int) -> ArtifactMetadata:
    labels = {"team": f"team-{number % _TEAMS}", "stage": "final" if number % 2 else "draft"}
    if number % _FLAGGED == 0:
        labels["flagged"] = "yes"
    provenance = None
    if state.known and number % _MADE_FROM == 0:
        provenance = f'{{"inputs":[{{"artifact":"{state.chosen.choice(state.known).id}"}}]}}'
    kind, media_type = f"kind-{number // 7 % _KINDS}", f"application/x-bench-{number // 3 % _MEDIA_TYPES}"
    return ArtifactMetadata(kind=kind, media_type=media_type, labels=labels, provenance=provenance)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- asking ---------------------------------------------------------------------------------------------------------


def _searches(state: _Run) -> Iterator[tuple[str, int, Callable[[], dict[str, Any]]]]:
    """Each kind of search: its name, the items of a page, and its terms, which differ from call to call."""
    pick = state.chosen.choice

    def tenth_of_time() -> dict[str, Any]:
        begin = state.chosen.randrange(len(state.known) * 9 // 10)
        end = state.known[begin + len(state.known) // 10]
        return {"created_after": _time(state.known[begin]), "created_before": _time(end)}

    def tenth_of_sizes() -> dict[str, Any]:
        begin = 64 * state.chosen.randrange(_OBJECTS * 9 // 10)
        return {"size_min": begin, "size_max": begin + 64 * _OBJECTS // 10}

    def several() -> dict[str, Any]:
        metadata = pick(state.known).metadata
        return {
            "kind": metadata.kind,
            "media_type": metadata.media_type,
            "labels": [("team", metadata.labels["team"])],
        }

    yield "all", _LARGE, dict
    yield "namespace", _LARGE, lambda: {"namespace": pick(state.known).namespace}
    yield "namespace and name", _SMALL, lambda: _place(pick(state.known))
    yield "name prefix", _LARGE, lambda: {"name_prefix": pick(state.known).name[:6]}
    yield "kind", _LARGE, lambda: {"kind": pick(state.known).metadata.kind}
    yield "label equals", _LARGE, lambda: {"labels": [("team", pick(state.known).metadata.labels["team"])]}
    yield "label exists", _LARGE, lambda: {"labels": [("flagged", None)]}
    yield "media type", _LARGE, lambda: {"media_type": pick(state.known).metadata.media_type}
    yield "digest", _SMALL, lambda: {"digest": pick(state.objects)}
    yield "creation time, a tenth", _LARGE, tenth_of_time
    yield "size, a tenth", _LARGE, tenth_of_sizes
    yield "kind, label and media type", _SMALL, several


def _place(artifact: Artifact) -> dict[str, Any]:
    return {"namespace": artifact.namespace, "name": artifact.name}


def _time(artifact: Artifact) -> datetime:
    return datetime.fromisoformat(artifact.created_at).astimezone(UTC)


async def _ask_pages(state: _Run, store: Store, name: str, limit: int, terms: Callable[[], dict[str, Any]]) -> None:
    """The first page and the hundredth, of several searches of one kind, in turns."""
    first: list[float] = []
    far: list[float] = []
    for _ in range(_VALUES):
        wanted = terms()
        cursor = await _walk(state, store, wanted, limit)
        near = partial(store.artifacts, **wanted, limit=limit)
        for _ in range(_TIMES):
            first.append(await _timed(near))
            if cursor is not None:
                far.append(await _timed(partial(near, cursor=cursor)))
    work = f"search by {name}, {limit} a page" if name != "all" else f"search of all, {limit} a page"
    _keep(state, work, "first page", first)
    if far:
        _keep(state, work, f"page {state.far}", far)
        _compare(state, work, first, far)


async def _walk(state: _Run, store: Store, wanted: dict[str, Any], limit: int) -> str | None:
    """The cursor of the far page; None if there are fewer pages."""
    cursor: str | None = None
    for _ in range(state.far - 1):
        page: ArtifactPage = await store.artifacts(**wanted, limit=limit, cursor=cursor)
        if (cursor := page.next) is None:
            return None
    return cursor


async def _ask_records(state: _Run, store: Store) -> None:
    """What is asked of one artifact, or of one name."""

    def some() -> Artifact:
        return state.chosen.choice(state.known)

    questions: dict[str, Ask] = {
        "an artifact by its id": lambda: store.artifact(some().id),
        "the latest version of a name": lambda: _latest(store, some()),
        "an object by its digest": lambda: store.object(state.chosen.choice(state.objects)),
        "sources, to depth 5": lambda: store.sources(some().id, depth=5),
        "derived, to depth 2": lambda: store.derived(some().id, depth=2),
    }
    for name, ask in questions.items():
        _keep(state, "one record", name, [await _timed(ask) for _ in range(_VALUES * _TIMES)])


async def _latest(store: Store, artifact: Artifact) -> Artifact:
    return await store.file(artifact.namespace, artifact.name)


async def _timed(ask: Ask) -> float:
    begin = time.perf_counter()
    await ask()
    return time.perf_counter() - begin


def _keep(state: _Run, work: str, name: str, seconds: list[float]) -> None:
    ordered = sorted(1000 * item for item in seconds)
    figures = {"p50_ms": ordered[len(ordered) // 2], "p99_ms": ordered[int(0.99 * len(ordered))]}
    state.rows.append(Row(work, name, "queries/s", Summary.of(1 / item for item in seconds), figures, "one at a time"))


def _compare(state: _Run, work: str, first: list[float], far: list[float]) -> None:
    near, there = (1000 * Summary.of(item).median for item in (first, far))
    note = f"medians, {near:.2f} and {there:.2f} ms"
    state.ratios.append(Ratio(f"{work}: page {state.far} / first page", there / near, _GROWTH, at_most=True, note=note))
