"""What reading found, kept in memory within a bound, and forgotten as soon as it stops being true (ADR-0016).

Theory of operation. Two kinds of subject are kept: an object, with its record and, when it is small, its content; and a
name, with its latest version and those of its versions that were read by id. Only what may be read is kept: live
objects, names and versions that are not tombstoned. Whoever commits an event on a subject forgets it after the commit
and before anybody is answered, so that a reader who knows of the event, from whomever, never meets what was before it.

Reading from the registry takes time, in which the subject may be forgotten: what was read is then the past, and keeping
it would bring it back. So a read that is to be kept happens inside a `Fill`; it learns of every subject forgotten since
it began, and drops what is of one. A content is kept beside the very record that it was read for, or not at all: it
goes when the record goes, and needs no rule of its own.

What decides something (an upload, a deletion, a verification) never asks here but asks the registry, under its lock.
One cache for all who act on a root, in one process and on one loop. A process that does not write the log is not told
what to forget: it has the writer's `generations`, and keeps and uses nothing that those say is out of date.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ObjectRecord, ObjectState
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.generations import Generations, Noted, Subject, roles, slot_of

#: Contents up to this size are kept, in bytes; larger ones are the page cache's.
CONTENT_BYTES = 64 * 1024
#: What a record and a version cost, in bytes, beside the texts of any length that they hold.
_RECORD_BYTES = 1024
_VERSION_BYTES = 1536


@dataclass(slots=True)
class _Object:
    record: ObjectRecord
    content: bytes | None = None
    slot: int = 0  # of its generation, and what that was when it was read
    generation: int = 0

    @property
    def cost(self) -> int:
        return _RECORD_BYTES + len(self.content or b"")


@dataclass(slots=True)
class _Name:
    latest: Artifact | None = None
    versions: dict[UUID, Artifact] = field(default_factory=dict)
    cost: int = 0
    slot: int = 0
    generation: int = 0


class Fill:
    """One read whose outcome is to be kept."""

    def __init__(self, cache: ReadCache, noted: Noted | None) -> None:
        self._cache = cache
        self._noted = noted  # the generations as this read began
        self._forgotten: set[Subject] = set()

    def forgotten(self, subject: Subject) -> None:
        """A subject was forgotten while this read was under way."""
        self._forgotten.add(subject)

    def keep_record(self, record: ObjectRecord) -> None:
        """Keep what the registry says of an object."""
        if record.state is ObjectState.LIVE and record.identity.blake3.value not in self._forgotten:
            self._cache._add_object(record, self._noted)

    def keep_version(self, artifact: Artifact, *, latest: bool) -> None:
        """Keep one version of a name: as what the name means now, or by its id."""
        if not artifact.deleted and (artifact.namespace, artifact.name) not in self._forgotten:
            self._cache._add_version(artifact, latest, self._noted)


class ReadCache:
    """Objects and names, those read last, in at most about `limit_bytes`; 0 keeps nothing.

    `generations` are shared with other processes; one that cannot write them follows those of the writer.
    """

    def __init__(self, limit_bytes: int, generations: Generations | None = None) -> None:
        self._limit = limit_bytes
        self._advanced, self._followed = roles(generations)
        self._size = 0
        self._objects: dict[bytes, _Object] = {}
        self._names: dict[tuple[str, str], _Name] = {}
        self._order: OrderedDict[Subject, None] = OrderedDict()  # that of the last reads, oldest first
        self._by_sha256: dict[bytes, bytes] = {}
        self._by_id: dict[UUID, tuple[str, str]] = {}
        self._fills: set[Fill] = set()

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""
        return self._limit > 0

    @property
    def size_bytes(self) -> int:
        """About how much is kept."""
        return self._size

    # --- reading ----------------------------------------------------------------------------------------------------

    def record(self, digest: Digest) -> ObjectRecord | None:
        """The record of a live object, by either digest, if it is known."""
        found = self._object(digest)
        return None if found is None else found.record

    def content(self, blake3: Digest) -> bytes | None:
        """The content of a live object, if it is known."""
        found = self._object(blake3)
        return None if found is None else found.content

    def latest(self, namespace: str, name: str) -> Artifact | None:
        """The latest version of a name, if it is known."""
        found = self._name((namespace, name))
        return None if found is None else found.latest

    def version(self, artifact_id: UUID) -> Artifact | None:
        """A version that is not deleted, if it is known."""
        subject = self._by_id.get(artifact_id)
        found = None if subject is None else self._name(subject)
        return None if found is None else found.versions.get(artifact_id)

    def _object(self, digest: Digest) -> _Object | None:
        key = digest.value if digest.algorithm is Algorithm.BLAKE3 else self._by_sha256.get(digest.value)
        found = None if key is None else self._objects.get(key)
        if key is None or found is None or self._is_past(key, found):
            return None
        self._order.move_to_end(key)
        return found

    def _name(self, subject: tuple[str, str]) -> _Name | None:
        found = self._names.get(subject)
        if found is None or self._is_past(subject, found):
            return None
        self._order.move_to_end(subject)
        return found

    def _is_past(self, subject: Subject, found: _Object | _Name) -> bool:
        """Whether another process has committed an event on it since; then it is forgotten."""
        if self._followed is None or self._followed.current(found.slot) == found.generation:
            return False
        self._drop(subject)
        return True

    # --- keeping ----------------------------------------------------------------------------------------------------

    @contextmanager
    def filling(self) -> Iterator[Fill]:
        """For a read from the registry, begun inside, and for keeping what it found."""
        fill = Fill(self, None if self._followed is None else self._followed.noted())
        self._fills.add(fill)
        try:
            yield fill
        finally:
            self._fills.remove(fill)

    def keep_content(self, record: ObjectRecord, content: bytes) -> None:
        """Keep a small content beside the record it was read for; nothing if that is not what is kept now."""
        found = self._object(record.identity.blake3)
        if found is not None and found.record == record and found.content is None and len(content) <= CONTENT_BYTES:
            found.content = content
            self._grow(len(content))

    def _add_object(self, record: ObjectRecord, noted: Noted | None) -> None:
        blake3 = record.identity.blake3.value
        slot, generation, is_past = self._as_read(blake3, noted)
        if not is_past and self._object(record.identity.blake3) is None:
            self._objects[blake3] = _Object(record, None, slot, generation)
            self._by_sha256[record.identity.sha256.value] = blake3
            self._order[blake3] = None
            self._grow(_RECORD_BYTES)

    def _as_read(self, subject: Subject, noted: Noted | None) -> tuple[int, int, bool]:
        """Where a subject's generation is, what it was as a read began, and whether it is another by now."""
        if noted is None or self._followed is None:
            return 0, 0, False
        slot = slot_of(subject)
        generation = noted.at(slot)
        return slot, generation, self._followed.current(slot) != generation

    def _add_version(self, artifact: Artifact, latest: bool, noted: Noted | None) -> None:
        subject = (artifact.namespace, artifact.name)
        slot, generation, is_past = self._as_read(subject, noted)
        if is_past:
            return
        name = self._name(subject)  # of the same generation, if there is one
        if name is None:
            name = self._names[subject] = _Name(slot=slot, generation=generation)
        self._order[subject] = None
        if latest and name.latest is None:
            name.latest = artifact
        elif not latest and artifact.id not in name.versions:
            name.versions[artifact.id] = artifact
            self._by_id[artifact.id] = subject
        else:
            return
        cost = _cost(artifact)
        name.cost += cost
        self._grow(cost)

    def _grow(self, cost: int) -> None:
        self._size += cost
        while self._size > self._limit:
            self._drop(next(iter(self._order)))

    # --- forgetting -------------------------------------------------------------------------------------------------

    def forget_object(self, blake3: Digest) -> None:
        """An event on the object was committed, or may have been."""
        self._forget(blake3.value)

    def forget_name(self, namespace: str, name: str) -> None:
        """An event on the name, or on a version of it, was committed, or may have been."""
        self._forget((namespace, name))

    def _forget(self, subject: Subject) -> None:
        if self._advanced is not None:
            self._advanced.advance(subject)
        for fill in self._fills:
            fill.forgotten(subject)
        if subject in self._order:
            self._drop(subject)

    def _drop(self, subject: Subject) -> None:
        del self._order[subject]
        if isinstance(subject, bytes):
            item = self._objects.pop(subject)
            del self._by_sha256[item.record.identity.sha256.value]
            self._size -= item.cost
        else:
            name = self._names.pop(subject)
            for artifact_id in name.versions:
                del self._by_id[artifact_id]
            self._size -= name.cost

    def close(self) -> None:
        """Keep nothing any more."""
        self._limit = 0
        self._grow(0)


def _cost(artifact: Artifact) -> int:
    metadata = artifact.metadata
    texts = [artifact.name, metadata.media_type, metadata.provenance or "", *metadata.labels, *metadata.labels.values()]
    return _VERSION_BYTES + sum(map(len, texts))
