"""Events of packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.registry.payloads import Fields


@dataclass(frozen=True, slots=True)
class Member:
    """One member, as the event names it."""

    name: str
    blake3: Digest
    media_type: str
    artifact_id: UUID | None


@dataclass(frozen=True, slots=True)
class PackageSealed:
    """A set of stored objects became a package, whose manifest is stored."""

    type: ClassVar[str] = "package.sealed"
    version: ClassVar[int] = 1
    id: UUID
    namespace: str
    name: str
    manifest: Digest
    members: tuple[Member, ...]
    supersedes: UUID | None

    @property
    def subject(self) -> str:
        """The package."""
        return f"package:{self.id}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "id": str(self.id),
            "namespace": self.namespace,
            "name": self.name,
            "manifest": str(self.manifest),
            "supersedes": None if self.supersedes is None else str(self.supersedes),
            "members": [
                {
                    "name": member.name,
                    "blake3": str(member.blake3),
                    "media_type": member.media_type,
                    "artifact_id": None if member.artifact_id is None else str(member.artifact_id),
                }
                for member in self.members
            ],
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(
            UUID(fields.text("id")),
            fields.text("namespace"),
            fields.text("name"),
            fields.digest("manifest", Algorithm.BLAKE3),
            tuple(
                Member(
                    member.text("name"),
                    member.digest("blake3", Algorithm.BLAKE3),
                    member.text("media_type"),
                    None if (artifact_id := member.text_or_none("artifact_id")) is None else UUID(artifact_id),
                )
                for member in fields.each("members")
            ),
            None if (earlier := fields.text_or_none("supersedes")) is None else UUID(earlier),
        )
