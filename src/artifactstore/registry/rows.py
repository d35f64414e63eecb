"""The views' rows in memory: what a batch, or a run of the log, loads, changes and writes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any
from uuid import UUID

from artifactstore.domain.artifact import Attestation, ObjectRecord, ObjectState, Package, SignatureOutcome
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.token import Scope, Token


@dataclass(slots=True)
class ObjectRow:
    """A row of `objects`."""

    blake3: bytes
    sha256: bytes
    size_bytes: int
    backend_id: str
    primary_algorithm: str
    state: str
    damage: str | None
    created_at: str
    created_seq: int

    @property
    def present(self) -> bool:
        """Whether the object is there for callers."""
        return ObjectState(self.state).present

    @property
    def identity(self) -> ObjectIdentity:
        """Both digests and the size."""
        return ObjectIdentity(Digest.blake3(self.blake3), Digest.sha256(self.sha256), self.size_bytes)

    def record(self) -> ObjectRecord:
        """The row as the domain's record."""
        algorithm, state = Algorithm(self.primary_algorithm), ObjectState(self.state)
        return ObjectRecord(self.identity, self.backend_id, algorithm, state, self.created_at, self.damage)


@dataclass(slots=True)
class NameRow:
    """A row of `names`, with the digest of its latest version's object, which is looked up and not stored."""

    namespace: str
    name: str
    latest_version: int
    latest_id: bytes
    tombstoned_through: int
    live_versions: int  # those that are not tombstoned, and the bytes of their objects in sum
    live_bytes: int
    latest_blake3: bytes

    @property
    def live(self) -> bool:
        """Whether the latest version is not tombstoned."""
        return self.latest_version > self.tombstoned_through


@dataclass(slots=True)
class ArtifactRow:
    """A row of `artifacts`."""

    id: bytes
    namespace: str
    name: str
    version: int
    blake3: bytes
    kind: str | None
    media_type: str
    labels: str
    provenance: str | None
    retention: str | None
    created_at: str
    created_by: str
    revision: int


@dataclass(slots=True)
class RetrievalRow:
    """A new row of `retrievals`."""

    seq: int
    position: int
    blake3: bytes
    artifact_id: bytes | None
    actor: str
    minute: str
    count: int
    size_bytes: int


@dataclass(slots=True)
class LabelRow:
    """A row of `artifact_labels`: for searches in the order of namespace, name, version."""

    key: str
    namespace: str
    name: str
    version: int
    value: str
    artifact_id: bytes


@dataclass(slots=True)
class InputRow:
    """A row of `artifact_inputs`: what an artifact's provenance names as a source."""

    artifact_id: bytes
    position: int
    kind: str
    target: bytes


@dataclass(slots=True)
class AttestationRow:
    """A row of `attestations`."""

    blake3: bytes
    seq: int
    statement: bytes
    predicate_type: str
    signature: str
    key_id: str | None
    created_at: str
    created_by: str

    def attestation(self) -> Attestation:
        """The row as the domain's record."""
        return Attestation(
            Digest.blake3(self.blake3),
            Digest.blake3(self.statement),
            self.predicate_type,
            SignatureOutcome(self.signature),
            self.key_id,
            self.created_at,
            self.created_by,
        )


@dataclass(slots=True)
class PackageRow:
    """A row of `packages`."""

    id: bytes
    namespace: str
    name: str
    manifest: bytes
    members: int
    size_bytes: int
    supersedes: bytes | None
    superseded_by: bytes | None
    created_at: str
    created_by: str
    created_seq: int

    def package(self, manifest: ObjectIdentity) -> Package:
        """The row as the domain's record; `manifest` is the object that it names."""
        return Package(
            UUID(bytes=self.id),
            self.namespace,
            self.name,
            manifest,
            self.members,
            self.size_bytes,
            self.created_at,
            self.created_by,
            None if self.supersedes is None else UUID(bytes=self.supersedes),
            None if self.superseded_by is None else UUID(bytes=self.superseded_by),
        )


@dataclass(slots=True)
class MemberRow:
    """A row of `package_members`."""

    package_id: bytes
    position: int
    name: str
    blake3: bytes
    media_type: str
    artifact_id: bytes | None


@dataclass(slots=True)
class TokenRow:
    """A row of `tokens`. `scopes` and `namespaces` are sorted and separated by spaces."""

    id: bytes
    name: str
    secret_hash: bytes
    scopes: str
    namespaces: str
    expires_at: str | None
    revoked_at: str | None
    created_at: str
    created_by: str
    created_seq: int

    def token(self) -> Token:
        """The row as the domain's record."""
        return Token(
            UUID(bytes=self.id),
            self.name,
            self.secret_hash,
            frozenset(Scope(item) for item in self.scopes.split()),
            frozenset(self.namespaces.split()),
            self.created_at,
            self.created_by,
            self.expires_at,
            self.revoked_at,
        )


@dataclass(slots=True)
class UsageRow:
    """A row of `namespace_usage`."""

    namespace: str
    objects: int
    size_bytes: int

    def add(self, objects: int, size_bytes: int) -> None:
        """Count so many more, or fewer."""
        self.objects += objects
        self.size_bytes += size_bytes


#: A row that is only ever inserted.
type AddedRow = LabelRow | InputRow | AttestationRow | MemberRow | RetrievalRow


@dataclass(slots=True)
class Loaded[K, R]:
    """Rows of one table by their keys. A key that was not loaded is a KeyError; None is a row that is not there."""

    rows: dict[K, R | None] = field(default_factory=dict)
    known: set[K] = field(default_factory=set)  # those that the table has already
    changed: dict[K, None] = field(default_factory=dict)  # a dict: in the order of change

    def __getitem__(self, key: K) -> R | None:
        return self.rows[key]

    def change(self, key: K) -> R | None:
        """The row, which the caller is about to change."""
        self.changed[key] = None
        return self.rows[key]

    def new(self) -> Iterator[R]:
        """The rows that the table has not yet."""
        return (row for key in self.changed if key not in self.known and (row := self.rows[key]) is not None)

    def put(self, key: K, row: R) -> R:
        """A new row, or one in place of another."""
        self.changed[key] = None
        self.rows[key] = row
        return row


type Claim = tuple[bytes, str]  # BLAKE3 digest, namespace
type NameKey = tuple[str, str]  # namespace, name
type LabelKey = tuple[str, str, str, int]  # key, namespace, name, version


@dataclass(slots=True)
class Keys:
    """The rows that a request may look at or change."""

    objects: set[bytes] = field(default_factory=set)
    sha256: set[bytes] = field(default_factory=set)
    claims: set[Claim] = field(default_factory=set)
    names: set[NameKey] = field(default_factory=set)
    references: set[bytes] = field(default_factory=set)  # objects of which it asks whether anything refers to them
    claims_of: set[bytes] = field(default_factory=set)  # objects, all of whose claims it asks for
    artifacts: set[bytes] = field(default_factory=set)
    attestations: set[bytes] = field(default_factory=set)  # objects, all of whose attestations it asks for
    packages: set[bytes] = field(default_factory=set)
    manifests: set[bytes] = field(default_factory=set)  # packages, by their manifests
    tokens: set[bytes] = field(default_factory=set)
    usage: set[str] = field(default_factory=set)

    def add(self, other: Keys) -> None:
        """Take in another's keys."""
        for mine, others in zip(_sets_of(self), _sets_of(other), strict=True):
            if others:
                mine |= others


#: All sets of some keys. `fields` costs as much as to find the rows.
_sets_of: Callable[[Keys], tuple[set[Any], ...]] = attrgetter(*(item.name for item in fields(Keys)))


@dataclass(slots=True)
class WorkingSet:
    """The rows of a batch's keys. A key that was not loaded is a KeyError; None is a row that is not there."""

    objects: dict[bytes, ObjectRow | None] = field(default_factory=dict)
    by_sha256: dict[bytes, bytes | None] = field(default_factory=dict)
    claims: dict[Claim, bool] = field(default_factory=dict)
    names: dict[NameKey, NameRow | None] = field(default_factory=dict)
    referenced: dict[bytes, bool] = field(default_factory=dict)  # by versions and packages, before the batch
    stated: dict[bytes, set[bytes]] = field(default_factory=dict)  # objects that a statement was about before it
    attestations: dict[bytes, list[AttestationRow]] = field(default_factory=dict)
    artifacts: Loaded[bytes, ArtifactRow] = field(default_factory=Loaded)
    packages: Loaded[bytes, PackageRow] = field(default_factory=Loaded)
    by_manifest: dict[bytes, bytes | None] = field(default_factory=dict)
    tokens: Loaded[bytes, TokenRow] = field(default_factory=Loaded)
    usage: Loaded[str, UsageRow] = field(default_factory=Loaded)

    known_objects: set[bytes] = field(default_factory=set)  # rows that the tables have already
    known_names: set[NameKey] = field(default_factory=set)
    changed_objects: dict[bytes, None] = field(default_factory=dict)  # dicts: in the order of change
    changed_names: dict[NameKey, None] = field(default_factory=dict)
    unclaimed: dict[bytes, None] = field(default_factory=dict)  # objects whose stored claims are void
    new_claims: dict[Claim, None] = field(default_factory=dict)
    unattested: dict[bytes, None] = field(default_factory=dict)  # objects whose stored attestations are void
    unlabelled: dict[LabelKey, None] = field(default_factory=dict)  # stored labels that are void
    added: list[AddedRow] = field(default_factory=list)

    def claimed(self, blake3: bytes, namespace: str) -> bool:
        """Whether a bare upload to the namespace vouches for reading the object there."""
        return self.claims[blake3, namespace]

    def use(self, namespace: str, objects: int, size_bytes: int) -> None:
        """Count what a namespace holds more, or less."""
        row = self.usage.change(namespace)
        if row is None:
            row = self.usage.put(namespace, UsageRow(namespace, 0, 0))
        row.add(objects, size_bytes)

    def is_referenced(self, blake3: bytes) -> bool:
        """Whether a version that is not tombstoned, a package or an attestation points at the object.

        Those of this batch are included. Exact only while no name was tombstoned earlier in the same batch: the
        writer sees to it.
        """
        return (
            self.referenced[blake3]
            or any(about not in self.unattested for about in self.stated[blake3])
            or any(
                row.blake3 == blake3 and row.version > self._name((row.namespace, row.name)).tombstoned_through
                for row in self.artifacts.new()
            )
            or any(row.manifest == blake3 for row in self.packages.new())
            or any(isinstance(row, MemberRow) and row.blake3 == blake3 for row in self.added)
            or any(isinstance(row, AttestationRow) and row.statement == blake3 for row in self.added)
        )

    def _name(self, key: NameKey) -> NameRow:
        row = self.names[key]
        assert row is not None, key  # noqa: S101 - it has a version, so it has a row
        return row
