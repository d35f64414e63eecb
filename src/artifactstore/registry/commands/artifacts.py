"""Commands of artifacts and names, and of who read what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Retrievals
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import ArtifactNotFoundError, PreconditionFailedError
from artifactstore.domain.names import check_labels
from artifactstore.domain.usage import Quota
from artifactstore.registry.commands.command import Freeing, Plain
from artifactstore.registry.commands.objects import StoredBytes, Upload, check_quota, stored
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import ArtifactCreated, ArtifactLabelled, Event, NameTombstoned, RetrievalsRecorded
from artifactstore.registry.rows import Keys, WorkingSet

#: If-Match: one of these digests, or "*" for whatever the latest version is; None for no condition.
type Condition = frozenset[Digest] | Literal["*"] | None


def check_condition(latest: Digest | None, *, create_only: bool, if_match: Condition) -> None:
    """PreconditionFailedError unless the name's live latest version (None: there is none) is as the caller wants it."""
    if create_only and latest is not None:
        raise PreconditionFailedError("the name has a version already")
    if if_match is None:
        return
    if latest is None:
        raise PreconditionFailedError("the name has no version that could match")
    if if_match != "*" and latest not in if_match:
        raise PreconditionFailedError(f"the latest version is {latest}")


@dataclass(frozen=True, slots=True)
class RecordArtifact(Plain):
    """A name's next version, of bytes that were uploaded to it or that are stored already."""

    upload: Upload | StoredBytes
    id: UUID
    namespace: str
    name: str
    metadata: ArtifactMetadata
    create_only: bool
    if_match: Condition
    quota: Quota | None = None

    @property
    def keys(self) -> Keys:
        """The object and the name."""
        identity = self.upload.identity
        return Keys(
            objects={identity.blake3.value},
            sha256={identity.sha256.value},
            names={(self.namespace, self.name)},
            usage={self.namespace},
        )

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """The object's events, then the artifact's."""
        name = rows.names[self.namespace, self.name]
        latest = Digest.blake3(name.latest_blake3) if name is not None and name.live else None
        check_condition(latest, create_only=self.create_only, if_match=self.if_match)
        check_quota(rows, self.quota, self.namespace, self.upload.identity.size_bytes)
        return [*self.upload.events(rows, None), self._created(1 if name is None else name.latest_version + 1)]

    def _created(self, number: int) -> ArtifactCreated:
        blake3 = self.upload.identity.blake3
        return ArtifactCreated(self.id, self.namespace, self.name, number, blake3, self.metadata)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> tuple[Artifact, bool]:
        """The artifact, and whether its object is new."""
        name = rows.names[self.namespace, self.name]
        created = self._created(0 if name is None else name.latest_version)
        return _artifact(recorded[-1], created, self.upload.identity), stored(recorded)


def _artifact(recorded: RecordedEvent, event: ArtifactCreated, identity: ObjectIdentity) -> Artifact:
    return Artifact(
        UUID(bytes=event.id.bytes),
        event.namespace,
        event.name,
        event.number,
        identity,
        event.metadata,
        recorded.time,
        recorded.actor,
    )


@dataclass(frozen=True, slots=True)
class Relabel(Plain):
    """Change an artifact's labels. `namespace` and `name` are its own, which never change."""

    id: UUID
    namespace: str
    name: str
    changes: dict[str, str | None]  # None takes a label away
    if_match: frozenset[int] | None  # revisions; None for no condition

    @property
    def keys(self) -> Keys:
        """The artifact and its name."""
        return Keys(artifacts={self.id.bytes}, names={(self.namespace, self.name)})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Labelled; nothing if that changes nothing. PreconditionFailedError: its revision is another.

        InvalidMetadataError: it would have too many labels.
        """
        row, name = rows.artifacts[self.id.bytes], rows.names[self.namespace, self.name]
        if row is None or name is None or row.version <= name.tombstoned_through:
            raise ArtifactNotFoundError(f"there is no artifact {self.id}")
        if self.if_match is not None and row.revision not in self.if_match:
            raise PreconditionFailedError(f"the artifact is at revision {row.revision}")
        before = json.loads(row.labels)
        after = {key: value for key, value in {**before, **self.changes}.items() if value is not None}
        return () if after == before else (ArtifactLabelled(self.id, check_labels(after.items())),)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> int:
        """The artifact's revision."""
        row = rows.artifacts[self.id.bytes]
        return 0 if row is None else row.revision


@dataclass(frozen=True, slots=True)
class Tombstone(Freeing):
    """Delete all versions of a name."""

    tombstones: ClassVar[bool] = True
    namespace: str
    name: str
    if_match: Condition

    @property
    def keys(self) -> Keys:
        """The name."""
        return Keys(names={(self.namespace, self.name)}, usage={self.namespace})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Tombstoned through the latest version."""
        row = rows.names[self.namespace, self.name]
        if row is None or not row.live:
            raise ArtifactNotFoundError(f"there is no artifact {self.namespace}/{self.name}")
        check_condition(Digest.blake3(row.latest_blake3), create_only=False, if_match=self.if_match)
        return (NameTombstoned(self.namespace, self.name, row.latest_version),)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> int:
        """The last version that is deleted."""
        row = rows.names[self.namespace, self.name]
        return 0 if row is None else row.tombstoned_through


@dataclass(frozen=True, slots=True)
class RecordRetrievals(Plain):
    """Record downloads, summed."""

    entries: tuple[Retrievals, ...]

    @property
    def keys(self) -> Keys:
        """None: retrievals are facts of their own."""
        return Keys()

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """One event for all, none for none."""
        return (RetrievalsRecorded(self.entries),) if self.entries else ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> None:
        """Nothing."""
