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
One cache for all who act on a root, in one process and on one loop; a process that does not write the log would not
learn what to forget, and has none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ObjectRecord, ObjectState
from artifactstore.domain.digest import Algorithm, Digest

#: Contents up to this size are kept, in bytes; larger ones are the page cache's.
CONTENT_BYTES = 64 * 1024
#: What a record and a version cost, in bytes, beside the texts of any length that they hold.
_RECORD_BYTES = 1024
_VERSION_BYTES = 1536

type _Subject = bytes | tuple[str, str]  # an object's BLAKE3 digest; a name in its namespace


@dataclass(slots=True)
class _Object:
    record: ObjectRecord
    content: bytes | None = None

    @property
    def cost(self) -> int:
        return _RECORD_BYTES + len(self.content or b"")


@dataclass(slots=True)
class _Name:
    latest: Artifact | None = None
    versions: dict[UUID, Artifact] = field(default_factory=dict)
    cost: int = 0


class Fill:
    """One read whose outcome is to be kept."""

    def __init__(self, cache: ReadCache) -> None:
        self._cache = cache
        self._forgotten: set[_Subject] = set()

    def forgotten(self, subject: _Subject) -> None:
        """A subject was forgotten while this read was under way."""
        self._forgotten.add(subject)

    def keep_record(self, record: ObjectRecord) -> None:
        """Keep what the registry says of an object."""
        if record.state is ObjectState.LIVE and record.identity.blake3.value not in self._forgotten:
            self._cache._add_object(record)

    def keep_version(self, artifact: Artifact, *, latest: bool) -> None:
        """Keep one version of a name: as what the name means now, or by its id."""
        if not artifact.deleted and (artifact.namespace, artifact.name) not in self._forgotten:
            self._cache._add_version(artifact, latest)


class ReadCache:
    """Objects and names, those read last, in at most about `limit_bytes`; 0 keeps nothing."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._objects: dict[bytes, _Object] = {}
        self._names: dict[tuple[str, str], _Name] = {}
        self._order: OrderedDict[_Subject, None] = OrderedDict()  # that of the last reads, oldest first
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
        if key is not None and found is not None:
            self._order.move_to_end(key)
        return found

    def _name(self, subject: tuple[str, str]) -> _Name | None:
        found = self._names.get(subject)
        if found is not None:
            self._order.move_to_end(subject)
        return found

    # --- keeping ----------------------------------------------------------------------------------------------------

    @contextmanager
    def filling(self) -> Iterator[Fill]:
        """For a read from the registry, begun inside, and for keeping what it found."""
        fill = Fill(self)
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

    def _add_object(self, record: ObjectRecord) -> None:
        blake3 = record.identity.blake3.value
        if blake3 not in self._objects:
            self._objects[blake3] = _Object(record)
            self._by_sha256[record.identity.sha256.value] = blake3
            self._order[blake3] = None
            self._grow(_RECORD_BYTES)

    def _add_version(self, artifact: Artifact, latest: bool) -> None:
        subject = (artifact.namespace, artifact.name)
        name = self._names.setdefault(subject, _Name())
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

    def _forget(self, subject: _Subject) -> None:
        for fill in self._fills:
            fill.forgotten(subject)
        if subject in self._order:
            self._drop(subject)

    def _drop(self, subject: _Subject) -> None:
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
