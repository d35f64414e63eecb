"""What the events of packages do to the views."""

from __future__ import annotations

from artifactstore.registry.envelope import RecordedEvent, contradiction
from artifactstore.registry.events import PackageSealed
from artifactstore.registry.folding.objects import there
from artifactstore.registry.rows import MemberRow, PackageRow, WorkingSet


def sealed(rows: WorkingSet, recorded: RecordedEvent, event: PackageSealed) -> None:
    """The package is there, and what it supersedes knows it."""
    there(rows, recorded, event.manifest)
    if rows.by_manifest[event.manifest.value] is not None:
        raise contradiction(recorded, "a package with this manifest is sealed already")
    size_bytes = sum(there(rows, recorded, member.blake3).size_bytes for member in event.members)
    package_id = event.id.bytes
    if rows.packages[package_id] is not None:
        raise contradiction(recorded, "the package is there already")
    if event.supersedes is not None:
        earlier = rows.packages.change(event.supersedes.bytes)
        if earlier is None or earlier.superseded_by is not None:
            raise contradiction(recorded, f"there is no package {event.supersedes}, or another supersedes it already")
        earlier.superseded_by = package_id
    rows.packages.put(
        package_id,
        PackageRow(
            package_id,
            event.namespace,
            event.name,
            event.manifest.value,
            len(event.members),
            size_bytes,
            None if event.supersedes is None else event.supersedes.bytes,
            None,
            recorded.time,
            recorded.actor,
            recorded.seq,
        ),
    )
    rows.by_manifest[event.manifest.value] = package_id
    rows.added.extend(
        MemberRow(
            package_id,
            position,
            member.name,
            member.blake3.value,
            member.media_type,
            None if member.artifact_id is None else member.artifact_id.bytes,
        )
        for position, member in enumerate(event.members)
    )
