"""Cases: a scenario on a volume, one fault, recovery, the oracle; and the count of them."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from artifactstore.bootstrap import open_local
from tests.crash import journal, oracle, volume
from tests.crash.disk import Operation
from tests.crash.driver import ROOT, Ended, Fault, Scenario, forked, perform, run, settings_of
from tests.crash.journal import Journal, Known
from tests.crash.shim import Shim

_FILLING = ("put_new", "versions", "seal", "token", "delete")


class Stop(Exception):
    """Enough was found."""


@dataclass(frozen=True, slots=True)
class Base:
    """A root that is there before a run, and what is known of it."""

    name: str
    tree: Path
    journal: Path
    image: Path


#: Where a family is that came to its end.
_ENDED = 10**9


@dataclass(slots=True)
class Report:
    """How many cases of each family ran, how far each is, and what was found."""

    cases: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    done: dict[str, int] = field(default_factory=dict)  # so many of its points

    @classmethod
    def read(cls, file: Path, of: str) -> Report:
        """What earlier parts of a campaign did; empty if there were none. ValueError: that was one `of` others."""
        if not file.exists():
            return cls()
        kept = json.loads(file.read_text())
        if kept["of"] != of:
            raise ValueError(f"{file} is of another campaign, or of other sources: {kept['of']}; this one is {of}")
        return cls(Counter(kept["cases"]), kept["findings"], Counter(kept["seconds"]), kept["done"])

    def unfinished[T](self, family: str, points: Iterable[T]) -> Iterator[T]:
        """Of the points of a family, those that were not done; each is done when the next one is asked for."""
        for place, point in enumerate(points, 1):
            if place > self.done.get(family, 0):
                yield point
                self.done[family] = place

    def write(self, file: Path, of: str) -> None:
        """For `read`."""
        file.write_text(json.dumps({"of": of, **{name: getattr(self, name) for name in self.__slots__}}, indent=1))


class Campaign:
    """Runs cases in `workspace`, a directory of its own that is not on a volume. `seed` decides all that is chosen."""

    def __init__(
        self,
        workspace: Path,
        shim: Shim,
        report: Report,
        seed: str,
        *,
        first: int = 1,
        kinds: frozenset[Operation] = frozenset(),
        stop_at_first: bool = False,
        seconds: float = inf,
    ) -> None:
        self.workspace = workspace
        self.shim = shim
        self.seed = seed
        self.first = first  # of the calls at which something goes wrong
        self.kinds = kinds  # of these calls; empty: of all
        self.report = report
        self._stop_at_first = stop_at_first
        self._ends = time.monotonic() + seconds
        self._bases: dict[str, Base] = {}
        self.journal = workspace / "run.journal"
        self.first_journal = workspace / "first.journal"
        self.place = workspace / "volume"
        self.image = workspace / "case.image"
        self._warm_up()

    def _warm_up(self) -> None:
        """Do in this process, once, what every child does: what that imports, compiles and caches, a fork has."""

        async def work() -> None:
            async with open_local(settings_of(self.place / ROOT)) as store:
                await perform(Scenario("warm-up", _FILLING), store, Journal(self.journal), self.place / ROOT, self.seed)
            await oracle.examine(self.place / ROOT, journal.read(self.journal))

        with volume.memory(self.place):
            asyncio.run(work())
        if threading.active_count() > 1:
            raise RuntimeError(f"a fork would lose the threads {threading.enumerate()}")

    # --- bases ------------------------------------------------------------------------------------------------------

    def base(self, name: str) -> Base:
        """`empty`: nothing; `filled`: a root with a little of each kind; `old`: the same, of the first schema."""
        if name not in self._bases:
            self._bases[name] = self._make_base(name)
        return self._bases[name]

    def _make_base(self, name: str) -> Base:
        base = Base(
            name,
            self.workspace / f"base-{name}",
            self.workspace / f"base-{name}.journal",
            self.workspace / f"base-{name}.image",
        )
        base.journal.touch()
        with volume.memory(self.place):
            if name == "old":
                filled = self.base_in_place("filled")
                base.journal.write_bytes(filled.journal.read_bytes())
                self.must(forked(lambda: _make_old(self.place / ROOT), self.workspace / "base.log"))
            elif name == "filled":
                scenario = Scenario("base", _FILLING)
                self.must(run(self.shim, scenario, self.place, base.journal, f"{self.seed}-base", Fault()))
            base.tree.mkdir()
            volume.copy_tree(self.place, base.tree)
        return base

    def image_of(self, base: Base) -> Path:
        """The base on an ext4 image, which is made when it is first asked for."""
        if not base.image.exists():
            volume.make_image(base.image)
            with volume.mounted(base.image, self.place):
                volume.copy_tree(base.tree, self.place)
        return base.image

    def base_in_place(self, name: str) -> Base:
        """A base, laid out on the volume that is mounted."""
        volume.unmount(self.place)
        base = self.base(name)
        volume._mount("tmpfs", self.place, "tmpfs", "")
        volume.copy_tree(base.tree, self.place)
        return base

    def must(self, ended: Ended) -> None:
        if not ended.clean:
            logs = "\n".join(log.read_text() for log in self.workspace.glob("*.log"))
            raise RuntimeError(f"a run without a fault ended with {ended}:\n{logs}")
        for modules in self.workspace.glob("*.modules"):  # here: what every child would import anew
            for name in modules.read_text().split():
                with suppress(ImportError):
                    importlib.import_module(name)

    # --- one case ---------------------------------------------------------------------------------------------------

    @contextmanager
    def in_memory(self, base: Base) -> Iterator[Path]:
        """The base on a file system in memory: it keeps what a killed process wrote."""
        with volume.memory(self.place) as place:
            volume.copy_tree(base.tree, place)
            yield place

    @contextmanager
    def on_image(self, base: Base) -> Iterator[Path]:
        """The base on an ext4 image, `case.image`, that can lose its power; to be mounted again afterwards."""
        volume.copy_image(self.image_of(base), self.image)
        with volume.mounted(self.image, self.place) as place:
            yield place

    @contextmanager
    def remounted(self) -> Iterator[Path]:
        """The image of the last case, with its power back."""
        with volume.mounted(self.image, self.place) as place:
            yield place

    def perform(self, scenario: Scenario, fault: Fault, seed: str, **options: object) -> Ended:
        """Run a scenario on the mounted volume, with a new journal."""
        self.begin()
        return run(self.shim, scenario, self.place, self.journal, seed, fault, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        """A new journal, for a new case."""
        for path in (self.journal, self.first_journal):
            path.unlink(missing_ok=True)
        self.journal.touch()

    def perform_again(self, scenario: Scenario, seed: str, record: Path) -> Ended:
        """Run a scenario after one that was broken off, on the same volume; by its seed, with the same contents."""
        self.journal.rename(self.first_journal)
        self.journal.touch()
        return run(self.shim, scenario, self.place, self.journal, seed, Fault(), record=record, named="-again")

    def known(self, base: Base, until: int | None = None) -> Known:
        """What the mounted volume must hold, by the journals of all runs on it; of the last until a call."""
        earlier = [self.first_journal] if self.first_journal.exists() else []
        return journal.read(base.journal, *earlier, self.journal, until=until)

    def promises(self) -> set[int]:
        """After which calls of the last run something was acknowledged."""
        entries = map(json.loads, self.journal.read_bytes().splitlines())
        return {entry["at"] for entry in entries if entry["kind"] == "done"}

    def begun(self) -> int:
        """How many calls the last run, which came to its end, had made when something could begin to go wrong."""
        entries = map(json.loads, self.journal.read_bytes().splitlines())
        (ended,) = (entry for entry in entries if entry["kind"] == "ended")
        return int(ended["at"] - ended["calls"])

    def judge(self, known: Known, family: str, case: str, *, fired: bool = True) -> None:
        """Recover the mounted volume in a process of its own, and count what the oracle says."""
        self.count(family, case, self.lines(lambda: oracle.examine(self.place / ROOT, known)), fired=fired)

    def lines(self, look: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """What `look` finds in a process of its own; or how that ended."""
        outcome, log = self.workspace / "outcome", self.workspace / "oracle.log"

        async def work() -> None:
            # Its threads wait for each other: on one CPU that takes half the time. A run has all, for its races' sake.
            os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
            outcome.write_text(json.dumps(await look()))

        ended = forked(work, log)
        return json.loads(outcome.read_text()) if ended.clean else [f"the oracle ended with {ended}: {_tail(log)}"]

    def count(self, family: str, case: str, lines: list[str], *, fired: bool = True) -> None:
        """Note what was found; it is a case only where something went wrong, and was not counted yet."""
        self.report.cases[family] += fired
        self.report.findings += [f"{family}, {case}: {line}" for line in lines]
        for line in lines[:6]:
            print(f"    {family}, {case}: {line}", flush=True)
        if lines and self._stop_at_first:
            raise Stop

    @contextmanager
    def family(self, name: str) -> Iterator[None]:
        """Say what is run, how many cases it was, and how long it took."""
        begun, before = time.monotonic(), (self.report.cases[name], len(self.report.findings))
        if self.report.done.get(name) != _ENDED:
            print(f"{name} ...", flush=True)
        try:
            yield
            self.report.done[name] = _ENDED
        finally:
            took = time.monotonic() - begun
            self.report.seconds[name] += round(took)
            cases = self.report.cases[name] - before[0]
            found = len(self.report.findings) - before[1]
            if cases:
                print(f"{name}: {cases} cases, {found} findings, {took:.0f} s", flush=True)

    def unfinished[T](self, family: str, points: Iterable[T]) -> Iterator[T]:
        """Of the points of a family, those that no earlier part of the campaign came to. Stop: its time is over."""
        for point in self.report.unfinished(family, points):
            if time.monotonic() > self._ends:
                raise Stop
            yield point

    def expect(self, ended: Ended, family: str, case: object) -> None:
        """A run ends by itself or by SIGKILL; by nothing else."""
        if not ended.clean and ended != Ended(True, 9):
            lines = [f"the run ended with {ended}: {_tail(self.journal.with_suffix('.log'))}"]
            self.count(family, str(case), lines, fired=False)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " | ".join(lines[-3:])


async def _make_old(root: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from artifactstore.registry import migration
    from artifactstore.registry.sqlite import writer_engine

    config = Config()
    config.set_main_option("script_location", str(migration.MIGRATIONS))
    engine = writer_engine(root / "registry" / migration.DATABASE_FILE)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, migration.REVISIONS[0])
    engine.dispose()
    os.sync()
