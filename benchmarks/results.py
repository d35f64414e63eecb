"""What a suite found: rows of figures and the ratios to reach, as JSON under benchmarks/results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks import machine
from benchmarks.turns import Sample, Summary, paired, rate

RESULTS = Path(__file__).parent / "results"
GIGA = 1e9

#: What one unit of work is called, and what is divided by to print a rate of it.
UNITS = {"GB/s": GIGA, "requests/s": 1.0, "events/s": 1.0, "queries/s": 1.0, "lookups/s": 1.0}


@dataclass(frozen=True, slots=True)
class Row:
    """One contender at one piece of work: its rate in `unit`, and other figures by name."""

    work: str
    contender: str
    unit: str
    rate: Summary
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""
    turns: tuple[Sample, ...] = ()  # what the medians are of; results of before do not have it

    @classmethod
    def of(cls, work: str, contender: str, unit: str, samples: Sequence[Sample], note: str = "") -> Self:
        """The medians of a contender's turns. CPU-seconds are per GB, or per 1,000 of what is counted."""
        scale = UNITS[unit]
        per = GIGA if unit == "GB/s" else 1000.0
        figures = {"wall_s": Summary.of(sample.seconds for sample in samples).median}
        if all(sample.cpu is not None for sample in samples):
            name = "cpu_s_per_gb" if unit == "GB/s" else "cpu_s_per_1000"
            figures[name] = Summary.of((sample.cpu or 0.0) / sample.amount * per for sample in samples).median
        for name in samples[0].extra:
            figures[name] = Summary.of(sample.extra[name] for sample in samples).median
        rates = Summary.of(rate(sample) / scale for sample in samples)
        return cls(work, contender, unit, rates, figures, note, tuple(samples))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours against theirs, and what it should be: `at_most` tells on which side of the target it belongs."""

    work: str
    value: float
    target: float
    at_most: bool = False
    limit: str = ""  # what the hardware allows, where that is known
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.target if self.at_most else self.value >= self.target

    @property
    def wanted(self) -> str:
        """The target in words."""
        return f"{'<=' if self.at_most else '>='} {self.target:g}"

    @classmethod
    def of(
        cls,
        work: str,
        ours: Sequence[Sample],
        theirs: Sequence[Sample],
        target: float,
        *,
        measure: Callable[[Sample], float] = rate,
        at_most: bool = False,
        limit: str = "",
        note: str = "",
    ) -> Self:
        """The median ratio of turns that were taken together."""
        found = paired(ours, theirs, measure)
        spread = f"quartiles {found.lower:.2f} to {found.upper:.2f}"
        return cls(work, found.median, target, at_most, limit, f"{spread}; {note}" if note else spread)


@dataclass(frozen=True, slots=True)
class Result:
    """A suite's run."""

    suite: str
    machine: dict[str, str | int | float]
    settings: dict[str, str | int | float]
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...]
    missing: tuple[str, ...] = ()  # what could not be measured here, and why
    grid: bool = False  # works across, contenders down: for suites whose works are sizes

    def store(self, directory: Path = RESULTS) -> Path:
        """Write it to `<directory>/<date>-<cpu>-<commit>/<suite>.json`; the file."""
        file = directory / machine.directory_name(self.machine) / f"{self.suite}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        document = asdict(self)
        for written, ratio in zip(document["ratios"], self.ratios, strict=True):
            written["reached"] = ratio.reached
        for written, row in zip(document["rows"], self.rows, strict=True):
            written["turns"] = _columns(row.turns)
        text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), json.dumps(document, indent=1))
        file.write_text(text + "\n", encoding="utf-8")
        return file

    @classmethod
    def load(cls, file: Path) -> Self:
        """What `store` wrote."""
        document = json.loads(file.read_text(encoding="utf-8"))
        document["rows"] = tuple(map(_row, document["rows"]))
        for ratio in document["ratios"]:
            del ratio["reached"]
        document["ratios"] = tuple(Ratio(**ratio) for ratio in document["ratios"])
        document["missing"] = tuple(document["missing"])
        return cls(**document)


#: A list of numbers, which has a line of its own.
_NUMBERS = re.compile(r"\[[^][{}\"]*]")
_MEASURED = ("amount", "seconds", "cpu")


def _columns(turns: Sequence[Sample]) -> dict[str, list[float | None]]:
    """What was measured in each turn, by name."""
    if not turns:
        return {}
    found: dict[str, list[float | None]] = {name: [getattr(turn, name) for turn in turns] for name in _MEASURED}
    return found | {name: [turn.extra[name] for turn in turns] for name in turns[0].extra}


def _row(stored: dict[str, Any]) -> Row:
    columns = stored.get("turns") or {}
    names = [name for name in columns if name not in _MEASURED]
    turns = tuple(
        Sample(amount, seconds, cpu, {name: columns[name][at] for name in names})
        for at, (amount, seconds, cpu) in enumerate(zip(*(columns.get(name, ()) for name in _MEASURED), strict=True))
    )
    return Row(**{**stored, "rate": Summary(**stored["rate"]), "turns": turns})


def newest(directory: Path = RESULTS) -> dict[str, Path]:
    """The newest result file of each suite."""
    found: dict[str, tuple[str, Path]] = {}
    for file in directory.glob("*/*.json"):
        date = str(json.loads(file.read_text(encoding="utf-8"))["machine"]["date"])
        if date > found.get(file.stem, ("", file))[0]:
            found[file.stem] = (date, file)
    return {suite: file for suite, (_, file) in sorted(found.items())}
