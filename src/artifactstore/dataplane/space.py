"""Space promised to running uploads, so that they do not all find out together that the disk is full.

What an upload still has to write counts as taken; what it has written, the file system counts by itself. An upload of
unknown length is promised a step ahead of what it has written.

Where there is plenty, the file system is not asked for each upload: for a moment after a look, what uploads spend is
taken off what it found. So they are promised no more than was there, whatever they have written by then. Only others
can take space unseen, and the plenty is what nobody takes in such a moment.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from artifactstore.domain.errors import StorageFullError
from artifactstore.storage.durability import storage_error

#: How far ahead of an upload of unknown length space is promised, in bytes: one look at the disk for so many.
STEP_BYTES = 16 * 2**20
#: How long a look counts, in seconds, and how many bytes must be left beyond all promises for it.
LOOK_SECONDS = 0.02
PLENTY_BYTES = 2**30


class Promise:
    """One upload's share. A context manager: leaving it gives back what was not written."""

    def __init__(self, ledger: SpaceLedger) -> None:
        self._ledger = ledger
        self._open = 0  # promised, and not yet written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ledger.outstanding -= self._open
        self._open = 0

    def extend(self, size_bytes: int) -> None:
        """Promise so many bytes more; StorageFullError."""
        self._ledger.check(size_bytes)
        self._ledger.outstanding += size_bytes
        self._open += size_bytes

    def spend(self, size_bytes: int) -> None:
        """So many bytes are about to be written: extend the promise if it does not cover them; StorageFullError."""
        if size_bytes > self._open:
            missing = size_bytes - self._open
            try:
                self.extend(max(missing, STEP_BYTES))
            except StorageFullError:
                self.extend(missing)  # near the end of the disk, only what is needed
        self._ledger.spend(size_bytes)
        self._open -= size_bytes


class Unpromised:
    """The promise where nobody promises space."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is given back."""

    def spend(self, size_bytes: int) -> None:
        """It is no matter."""


class SpaceLedger:
    """The promises on one file system. For one event loop.

    `floor_bytes` are left free whatever comes: for the log, for deletions, for everybody else on the file system.
    """

    def __init__(self, directory: Path, floor_bytes: int) -> None:
        self._directory = directory
        self._floor = floor_bytes
        self.outstanding = 0
        self._free = 0  # at the last look, less what was spent since
        self._look_counts_until = 0.0  # by the monotonic clock

    def check(self, size_bytes: int) -> None:
        """StorageFullError if so many bytes more cannot be promised."""
        if size_bytes + PLENTY_BYTES <= self._unpromised() and time.monotonic() < self._look_counts_until:
            return
        self._look()
        free = self._unpromised()
        if size_bytes > free:
            raise StorageFullError(
                f"there is no room for {size_bytes} bytes more: {max(free, 0)} are neither used nor promised"
            )

    def spend(self, size_bytes: int) -> None:
        """So many bytes that were promised are about to be written."""
        self.outstanding -= size_bytes
        self._free -= size_bytes

    def _unpromised(self) -> int:
        return self._free - self.outstanding - self._floor

    def _look(self) -> None:
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            raise storage_error("the free space could not be looked at", error) from error
        self._free = found.f_bavail * found.f_frsize
        self._look_counts_until = time.monotonic() + LOOK_SECONDS

    def promise(self, size_bytes: int = 0) -> Promise:
        """Promise space for an upload of that size; StorageFullError."""
        promise = Promise(self)
        promise.extend(size_bytes)
        return promise
