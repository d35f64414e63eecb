"""The command of packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from artifactstore.domain.artifact import ObjectState, Package
from artifactstore.domain.errors import ObjectDamagedError, PackageNotFoundError, PreconditionFailedError
from artifactstore.registry.commands.command import Plain
from artifactstore.registry.commands.objects import present, row_of
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import Event, PackageSealed
from artifactstore.registry.rows import Keys, WorkingSet


@dataclass(frozen=True, slots=True)
class SealPackage(Plain):
    """Seal stored objects, whose manifest is stored, as a package."""

    event: PackageSealed

    @property
    def keys(self) -> Keys:
        """The members, the manifest, whether it is sealed already, and the package that it supersedes."""
        event = self.event
        return Keys(
            objects={event.manifest.value, *(member.blake3.value for member in event.members)},
            manifests={event.manifest.value},
            packages={event.id.bytes} if event.supersedes is None else {event.id.bytes, event.supersedes.bytes},
        )

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Sealed; nothing if a package has the same manifest.

        ObjectNotFoundError, ObjectDamagedError: a member is not there whole. PackageNotFoundError: what it supersedes.
        PreconditionFailedError: that is superseded by another already.
        """
        event = self.event
        if rows.by_manifest[event.manifest.value] is not None:
            return ()
        for blake3 in (event.manifest, *(member.blake3 for member in event.members)):
            if present(rows, blake3).state == ObjectState.DAMAGED:
                raise ObjectDamagedError(f"the stored copy of {blake3} is damaged; upload the object again")
        if event.supersedes is not None:
            earlier = rows.packages[event.supersedes.bytes]
            if earlier is None or earlier.namespace != event.namespace:
                raise PackageNotFoundError(f"there is no package {event.supersedes} in {event.namespace} to supersede")
            if earlier.superseded_by is not None:
                successor = UUID(bytes=earlier.superseded_by)
                raise PreconditionFailedError(f"package {event.supersedes} is superseded by {successor} already")
        return (event,)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> tuple[Package, bool]:
        """The package that has the manifest, and whether it is new."""
        found = rows.by_manifest[self.event.manifest.value]
        assert found is not None  # noqa: S101 - it was there, or was folded just now
        package = rows.packages[found]
        assert package is not None  # noqa: S101 - it is loaded with its manifest
        return package.package(row_of(rows, self.event.manifest).identity), bool(recorded)
