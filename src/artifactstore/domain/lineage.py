"""What an artifact was made from, and what was made from it: a walk over what provenance names as inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from artifactstore.domain.artifact import Artifact
from artifactstore.domain.provenance import Input


@dataclass(frozen=True, slots=True)
class Edge:
    """An artifact names an input; `level` is how far from where the walk began, from 1."""

    artifact_id: UUID
    input: Input
    level: int


@dataclass(slots=True)
class Lineage:
    """A walk from an artifact. `artifacts`: those it has reached, the first included, by id."""

    artifacts: dict[UUID, Artifact] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    truncated: bool = False  # there is more than an answer holds
