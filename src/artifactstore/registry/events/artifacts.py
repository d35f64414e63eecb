"""Events of artifacts and names, and of who read what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from artifactstore.domain.artifact import ArtifactMetadata, Retrievals
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.registry.payloads import Fields


@dataclass(frozen=True, slots=True)
class ArtifactCreated:
    """A version of a name, pointing at a stored object. Provenance is carried as the text its author wrote."""

    type: ClassVar[str] = "artifact.created"
    version: ClassVar[int] = 1
    id: UUID
    namespace: str
    name: str
    number: int  # the artifact's version; `version` is the event type's
    blake3: Digest
    metadata: ArtifactMetadata

    @property
    def subject(self) -> str:
        """The artifact."""
        return f"artifact:{self.id}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "id": str(self.id),
            "namespace": self.namespace,
            "name": self.name,
            "version": self.number,
            "blake3": str(self.blake3),
            "kind": self.metadata.kind,
            "media_type": self.metadata.media_type,
            "labels": self.metadata.labels,
            "provenance": self.metadata.provenance,
            "retention": self.metadata.retention,
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        metadata = ArtifactMetadata(
            kind=fields.text_or_none("kind"),
            media_type=fields.text("media_type"),
            labels=fields.texts("labels"),
            provenance=fields.text_or_none("provenance"),
            retention=fields.text_or_none("retention"),
        )
        return cls(
            UUID(fields.text("id")),
            fields.text("namespace"),
            fields.text("name"),
            fields.number("version"),
            fields.digest("blake3", Algorithm.BLAKE3),
            metadata,
        )


@dataclass(frozen=True, slots=True)
class ArtifactLabelled:
    """An artifact has other labels: all that it has are named."""

    type: ClassVar[str] = "artifact.labelled"
    version: ClassVar[int] = 1
    id: UUID
    labels: dict[str, str]

    @property
    def subject(self) -> str:
        """The artifact."""
        return f"artifact:{self.id}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {"id": str(self.id), "labels": self.labels}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(UUID(fields.text("id")), fields.texts("labels"))


@dataclass(frozen=True, slots=True)
class NameTombstoned:
    """The versions of a name up to `through_version` are deleted."""

    type: ClassVar[str] = "name.tombstoned"
    version: ClassVar[int] = 1
    namespace: str
    name: str
    through_version: int

    @property
    def subject(self) -> str:
        """The name."""
        return f"name:{self.namespace}/{self.name}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {"namespace": self.namespace, "name": self.name, "through_version": self.through_version}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(fields.text("namespace"), fields.text("name"), fields.number("through_version"))


@dataclass(frozen=True, slots=True)
class RetrievalsRecorded:
    """Downloads since the last such event, summed per object or artifact, actor and minute."""

    type: ClassVar[str] = "retrievals.recorded"
    version: ClassVar[int] = 1
    entries: tuple[Retrievals, ...]

    @property
    def subject(self) -> str:
        """Always the same."""
        return "retrievals"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "entries": [
                {
                    "blake3": str(entry.blake3),
                    "artifact_id": None if entry.artifact_id is None else str(entry.artifact_id),
                    "actor": entry.actor,
                    "minute": entry.minute,
                    "count": entry.count,
                    "size_bytes": entry.size_bytes,
                }
                for entry in self.entries
            ]
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(
            tuple(
                Retrievals(
                    entry.digest("blake3", Algorithm.BLAKE3),
                    None if (artifact_id := entry.text_or_none("artifact_id")) is None else UUID(artifact_id),
                    entry.text("actor"),
                    entry.text("minute"),
                    entry.number("count"),
                    entry.number("size_bytes"),
                )
                for entry in fields.each("entries")
            )
        )
