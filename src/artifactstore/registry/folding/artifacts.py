"""What the events of artifacts and names do to the views."""

from __future__ import annotations

import json

from artifactstore.domain.provenance import inputs_of
from artifactstore.registry.envelope import RecordedEvent, contradiction
from artifactstore.registry.events import ArtifactCreated, ArtifactLabelled, NameTombstoned, RetrievalsRecorded
from artifactstore.registry.folding.objects import there
from artifactstore.registry.payloads import dump
from artifactstore.registry.rows import ArtifactRow, InputRow, LabelRow, NameRow, RetrievalRow, WorkingSet


def created(rows: WorkingSet, recorded: RecordedEvent, event: ArtifactCreated) -> None:
    """The name has a next version."""
    size_bytes = there(rows, recorded, event.blake3).size_bytes
    key = (event.namespace, event.name)
    name = rows.names[key]
    latest = 0 if name is None else name.latest_version
    if event.number != latest + 1:
        raise contradiction(recorded, f"version {event.number} follows version {latest}")
    if event.id.bytes in rows.artifacts.rows and rows.artifacts[event.id.bytes] is not None:
        raise contradiction(recorded, "the artifact is there already")
    if name is None:
        name = rows.names[key] = NameRow(*key, 0, b"", 0, 0, 0, b"")
    name.latest_version, name.latest_id, name.latest_blake3 = event.number, event.id.bytes, event.blake3.value
    name.live_versions += 1
    name.live_bytes += size_bytes
    rows.changed_names[key] = None
    rows.use(event.namespace, 1, size_bytes)
    metadata = event.metadata
    row = ArtifactRow(
        event.id.bytes,
        event.namespace,
        event.name,
        event.number,
        event.blake3.value,
        metadata.kind,
        metadata.media_type,
        dump(metadata.labels).decode(),
        metadata.provenance,
        metadata.retention,
        recorded.time,
        recorded.actor,
        1,
    )
    rows.artifacts.put(row.id, row)
    _label(rows, row, metadata.labels)
    rows.added.extend(
        InputRow(row.id, position, source.kind.value, source.target)
        for position, source in enumerate(inputs_of(metadata.provenance))
    )


def labelled(rows: WorkingSet, recorded: RecordedEvent, event: ArtifactLabelled) -> None:
    """The artifact has these labels, and no others."""
    row = rows.artifacts.change(event.id.bytes)
    if row is None:
        raise contradiction(recorded, "there is no such artifact")
    for key in json.loads(row.labels):
        rows.unlabelled[key, row.namespace, row.name, row.version] = None
    row.labels = dump(event.labels).decode()
    row.revision += 1
    rows.added = [item for item in rows.added if not (isinstance(item, LabelRow) and item.artifact_id == row.id)]
    _label(rows, row, event.labels)


def _label(rows: WorkingSet, row: ArtifactRow, labels: dict[str, str]) -> None:
    rows.added.extend(
        LabelRow(key, row.namespace, row.name, row.version, value, row.id) for key, value in labels.items()
    )


def tombstoned(rows: WorkingSet, recorded: RecordedEvent, event: NameTombstoned) -> None:
    """The name's versions are deleted."""
    key = (event.namespace, event.name)
    row = rows.names[key]
    if row is None or not row.live or event.through_version != row.latest_version:
        raise contradiction(recorded, f"version {event.through_version} is not the latest, or is tombstoned already")
    row.tombstoned_through = event.through_version
    rows.use(row.namespace, -row.live_versions, -row.live_bytes)
    row.live_versions = row.live_bytes = 0
    rows.changed_names[key] = None


def retrieved(rows: WorkingSet, recorded: RecordedEvent, event: RetrievalsRecorded) -> None:
    """Somebody read something."""
    for position, entry in enumerate(event.entries):
        artifact_id = None if entry.artifact_id is None else entry.artifact_id.bytes
        rows.added.append(
            RetrievalRow(
                recorded.seq,
                position,
                entry.blake3.value,
                artifact_id,
                entry.actor,
                entry.minute,
                entry.count,
                entry.size_bytes,
            )
        )
