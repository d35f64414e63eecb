"""The turns of the serve suite: a large object warm and cold, ranges of it, and small objects."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path

import uvloop

from artifactstore.traffic import Job, Peer, RandomBody, drive, transfer
from benchmarks import machine
from benchmarks.contenders import ArtifactStore, Bare, Contender, Nginx, TwoProcesses, start_all
from benchmarks.processes import Server
from benchmarks.results import Ratio, Result, Row
from benchmarks.serve import wrk
from benchmarks.serve.cold import cold_downloads
from benchmarks.turns import Sample, Turn, take_turns

_SMALL = 4096
_SMALL_OBJECTS = 64
_CONNECTIONS = 32
_RANGE = 2**20
_IDLE = "nothing beside it"
_BESIDE = "a cold download beside it"
MEMORY = "bare aiohttp, from memory"

_STARTS: dict[str, Callable[[Path], Contender]] = {
    ArtifactStore.name: ArtifactStore.start,
    TwoProcesses.name: TwoProcesses.start,
    Nginx.name: Nginx.start,
    Bare.name: Bare.start,
}
_NOTES = {
    ArtifactStore.name: "retrievals recorded",
    TwoProcesses.name: "retrievals recorded; --workers 2",
    Nginx.name: "sendfile, open_file_cache",
    Bare.name: "no record",
    MEMORY: "one body of 4 KiB, no file",
}

type Taken = dict[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A server, and where what it has been given can be read."""

    server: Server
    directory: Path
    large: str
    small: tuple[str, ...]

    @property
    def peer(self) -> Peer:
        return self.server.peer

    def measured(self, work: Callable[[], Sample]) -> Sample:
        """A turn, with the CPU time of the server's processes and the most memory that they had."""
        self.server.reset_peak()
        before = self.server.cpu_seconds()
        sample = work()
        cpu = self.server.cpu_seconds() - before
        return replace(sample, cpu=cpu, extra={**sample.extra, "peak_mib": self.server.peak_mib()})


def run(*, root: Path, size: int = 2**30, turns: int = 7, seconds: float = 80.0, small_seconds: float = 2.0) -> Result:
    """Measure, in the directory `root`; `size` is the large object's, in bytes."""
    facts = machine.facts(root)
    client = wrk.command()
    with ExitStack() as running:
        contenders, missing = start_all(_STARTS, root, running)
        large, small = RandomBody(size), [os.urandom(_SMALL) for _ in range(_SMALL_OBJECTS)]
        shelves = {item.name: _filled(item, large, small) for item in contenders}
        for shelf in shelves.values():
            _download(shelf)  # from here on it is warm for everybody
        downloads = _taken(shelves, _download, turns, seconds / 2)
        ranges = _taken(shelves, lambda shelf: _ranges(shelf, size, small_seconds), min(turns, 3), seconds / 4)
        bare = shelves[Bare.name]
        shelves[MEMORY] = replace(bare, small=tuple(f"/memory/{at}" for at in range(_SMALL_OBJECTS)))
        gets = _taken(shelves, lambda shelf: _gets(shelf, client, root, small_seconds), min(turns, 3), seconds / 4)
        ours = shelves[ArtifactStore.name]
        rounds = min(turns, 3)
        hot: dict[str, Turn] = {
            _IDLE: lambda: _gets(ours, client, root, small_seconds),
            _BESIDE: lambda: _gets_beside(ours, client, root, size, small_seconds),
        }
        latency = take_turns(hot, rounds, seconds=seconds / 4, least=min(rounds, 2))
    if client is None:
        missing.append("wrk: not installed; small requests are made by the suite's own client, a bound of its own")
    by = "the suite's own client" if client is None else "wrk"
    rows = [
        *_rows(f"download of {size / 2**20:g} MiB, warm", "GB/s", downloads),
        *_rows(f"ranges of 1 MiB at random, {_CONNECTIONS} connections", "GB/s", ranges),
        *_rows(f"GET of 4 KiB, {_CONNECTIONS} connections, by {by}", "requests/s", gets),
        *(
            Row.of(f"GET of 4 KiB, {when}", ArtifactStore.name, "requests/s", samples)
            for when, samples in latency.items()
        ),
    ]
    settings: dict[str, str | int | float] = {"size_bytes": size, "turns_at_most": turns, "seconds": seconds}
    settings["client_of_small_requests"] = by
    p99 = Ratio.of(
        "p99 of 4 KiB GETs, beside a cold download / idle",
        latency[_BESIDE],
        latency[_IDLE],
        3.0,
        measure=lambda sample: sample.extra["p99_ms"],
        at_most=True,
    )
    ratios = (*_ratios(downloads, ranges, gets), p99)
    return Result("serve", facts, settings, tuple(rows), ratios, tuple(missing))


def _filled(contender: Contender, large: RandomBody, small: Sequence[bytes]) -> _Shelf:
    """Store the large body and the small ones: by upload, or as files where a server only reads."""
    if isinstance(contender, Bare):
        with (contender.directory / "large").open("wb") as file:
            file.writelines(large)
        for at, data in enumerate(small):
            (contender.directory / str(at)).write_bytes(data)
        return _Shelf(
            contender.server, contender.directory, "/static/large", tuple(f"/static/{at}" for at in range(len(small)))
        )
    path = contender.store(large)
    paths: list[str] = []
    uvloop.run(drive(contender.peer, (contender.put(data, paths) for data in small), 1))
    return _Shelf(contender.server, contender.directory, path, tuple(paths))


def _taken(shelves: dict[str, _Shelf], work: Callable[[_Shelf], Sample], turns: int, seconds: float) -> Taken:
    contenders: dict[str, Turn] = {
        name: partial(shelf.measured, partial(work, shelf)) for name, shelf in shelves.items()
    }
    return take_turns(contenders, turns, seconds=seconds, least=min(turns, 3))


def _download(shelf: _Shelf) -> Sample:
    begin = time.perf_counter()
    answer = transfer(shelf.peer, shelf.peer.request("GET", shelf.large)).expect(200)
    return Sample(answer.size, time.perf_counter() - begin)


def _ranges(shelf: _Shelf, size: int, seconds: float) -> Sample:
    """Aligned to nothing; the same sequence for everybody."""
    length = min(_RANGE, size)
    chosen = random.Random(1)
    deadline = time.monotonic() + seconds

    def jobs() -> Iterator[Job]:
        while True:
            yield _range(shelf, chosen.randrange(size - length + 1), length)
            if time.monotonic() > deadline:
                return

    load = uvloop.run(drive(shelf.peer, jobs(), _CONNECTIONS))
    figures = {"p50_ms": 1000 * load.percentile(0.5), "p99_ms": 1000 * load.percentile(0.99)}
    return Sample(length * len(load.latencies), load.seconds, extra=figures)


def _range(shelf: _Shelf, start: int, length: int) -> Job:
    (yield shelf.peer.request("GET", shelf.large, b"", f"Range: bytes={start}-{start + length - 1}")).expect(206)


def _gets(shelf: _Shelf, client: str | None, work: Path, seconds: float) -> Sample:
    if client is not None:
        return wrk.get(client, shelf.peer, shelf.small, work, connections=_CONNECTIONS, seconds=seconds)
    deadline = time.monotonic() + seconds
    paths = cycle(shelf.small)

    def jobs() -> Iterator[Job]:
        for path in paths:
            yield _get(shelf.peer, path)
            if time.monotonic() > deadline:
                return

    load = uvloop.run(drive(shelf.peer, jobs(), _CONNECTIONS))
    figures = {"p50_ms": 1000 * load.percentile(0.5), "p99_ms": 1000 * load.percentile(0.99)}
    return Sample(len(load.latencies), load.seconds, extra=figures)


def _gets_beside(shelf: _Shelf, client: str | None, work: Path, size: int, seconds: float) -> Sample:
    with cold_downloads(shelf.peer, shelf.large, shelf.directory, size):
        return _gets(shelf, client, work, seconds)


def _get(peer: Peer, path: str) -> Job:
    (yield peer.request("GET", path)).expect(200)


def _rows(work: str, unit: str, taken: Taken) -> Iterator[Row]:
    for name, samples in taken.items():
        yield Row.of(work, name, unit, samples, _NOTES[name])


def _ratios(downloads: Taken, ranges: Taken, gets: Taken) -> Iterator[Ratio]:
    for ours, how in ((ArtifactStore.name, ""), (TwoProcesses.name, "2 processes: ")):
        if Nginx.name in downloads:
            yield Ratio.of(f"{how}large download / nginx", downloads[ours], downloads[Nginx.name], 0.95)
            yield Ratio.of(f"{how}ranges of 1 MiB / nginx", ranges[ours], ranges[Nginx.name], 0.75)
        yield Ratio.of(f"{how}GET of 4 KiB / {MEMORY}", gets[ours], gets[MEMORY], 0.6)
