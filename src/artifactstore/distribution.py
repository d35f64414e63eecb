"""Measurements summed into classes: what a histogram is made of. Plain counters, for whoever observes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """How many measurements fell into each class, and their sum. `bounds` are the classes' upper ends, inclusive."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)  # the last class has no upper end
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one measurement."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
