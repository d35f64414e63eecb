"""The command of a request that records nothing, and is to be answered once all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from artifactstore.registry.commands.command import Plain
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import Event
from artifactstore.registry.rows import Keys, WorkingSet


@dataclass(frozen=True, slots=True)
class KeepAnswer[T](Plain):
    """Keep the answer to a request whose result is known."""

    result: T

    @property
    def keys(self) -> Keys:
        """None: it looks at no row."""
        return Keys()

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Nothing."""
        return ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> T:
        """The result."""
        return self.result
