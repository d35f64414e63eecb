"""What a data plane has in hand at a moment, for whoever observes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Activity:
    """Uploads under way, the files they are staged in with those that lie in the staging directory, promised space."""

    uploads: int
    staging_files: int
    staging_bytes: int
    promised_bytes: int
