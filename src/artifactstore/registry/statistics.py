"""What the registry counts of itself, for whoever observes it. Plain numbers, of one event loop."""

from __future__ import annotations

from artifactstore.distribution import Distribution

#: Seconds from a request to the log until its answer: a durable commit takes a fraction of a millisecond to many.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class AppendStatistics:
    """How long requests to the log waited for their answer, refusals too, and how many shared a transaction."""

    def __init__(self) -> None:
        self.seconds = Distribution(_SECONDS)
        self.batch_sizes = Distribution(_REQUESTS)


class UploadStatistics:
    """Uploads by whether the registry had their object already."""

    def __init__(self) -> None:
        self.new = 0
        self.known = 0

    def counted[T](self, outcome: tuple[T, bool]) -> tuple[T, bool]:
        """Count an upload by its outcome, (record, whether its object is new), and hand that on."""
        if outcome[1]:
            self.new += 1
        else:
            self.known += 1
        return outcome
