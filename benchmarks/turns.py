"""Contenders take turns: A B C, then C A B, ..., so that a noisy or throttling machine hits all of them alike.

What a turn leaves behind (a disk at work or rested, a cache) falls to whoever is next, so the order is another in each.

pytest-benchmark runs all rounds of one contender before the next begins, so only its statistics are used here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pytest_benchmark.stats import Stats


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn: so much work (bytes, requests, events) in so many seconds. `cpu` is None where it cannot be told."""

    amount: float
    seconds: float
    cpu: float | None = None
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """The median of some values and their quartiles."""

    median: float
    lower: float
    upper: float
    turns: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Summary:
        """At least one value."""
        stats = Stats()  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        for value in values:
            stats.update(value)  # type: ignore[no-untyped-call]  # the same
        return cls(float(stats.median), float(stats.q1), float(stats.q3), len(stats.data))


type Turn = Callable[[], Sample]


def take_turns(contenders: dict[str, Turn], turns: int, *, seconds: float, least: int = 3) -> dict[str, list[Sample]]:
    """Let each contender work once a turn: `turns` times, or fewer, but `least`, when `seconds` are over."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    dice = random.Random(1)
    deadline = time.monotonic() + seconds
    for number in range(turns):
        if number >= least and time.monotonic() > deadline:
            break
        for name in dice.sample(list(contenders), len(contenders)):
            samples[name].append(contenders[name]())
    return samples


def paired(ours: Sequence[Sample], theirs: Sequence[Sample], measure: Callable[[Sample], float]) -> Summary:
    """The ratio of ours to theirs, turn by turn: what both have in common in a turn cancels out."""
    return Summary.of(measure(our) / measure(their) for our, their in zip(ours, theirs, strict=True) if measure(their))


def rate(sample: Sample) -> float:
    """Work per second."""
    return sample.amount / sample.seconds


def cost(sample: Sample) -> float:
    """CPU-seconds per unit of work; 0 where unknown."""
    return (sample.cpu or 0.0) / sample.amount
