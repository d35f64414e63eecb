"""What the registry should do, in dictionaries: each operation with its outcome and the number of its events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from artifactstore.domain.artifact import Retrievals
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ObjectInUseError,
    ObjectNotFoundError,
    PreconditionFailedError,
    QuotaExceededError,
)
from artifactstore.domain.usage import Quota, Usage
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, damage, identity, put_file, put_object


@dataclass
class Name:
    objects: list[int] = field(default_factory=list)  # by version, from 1
    tombstoned: int = 0

    @property
    def live(self) -> list[int]:
        return self.objects[self.tombstoned :]


type NameKey = tuple[str, str]  # namespace, name


@dataclass
class Package:
    namespace: str
    members: tuple[int, ...]
    superseded_by: int | None = None


@dataclass
class Ids:
    """What the registry has called what was there before a batch; an operation of the batch knows no others."""

    artifacts: dict[tuple[NameKey, int], UUID] = field(default_factory=dict)  # by name and version
    packages: dict[int, UUID] = field(default_factory=dict)  # by manifest
    tokens: list[UUID] = field(default_factory=list)


@dataclass
class Model:
    states: dict[int, str] = field(default_factory=dict)
    damage: dict[int, str] = field(default_factory=dict)
    claims: set[tuple[int, str]] = field(default_factory=set)
    names: dict[NameKey, Name] = field(default_factory=dict)
    labels: dict[tuple[NameKey, int], tuple[int, dict[str, str]]] = field(default_factory=dict)  # with the revision
    attestations: dict[int, list[tuple[int, str]]] = field(default_factory=dict)  # statement and outcome, by object
    packages: dict[int, Package] = field(default_factory=dict)  # by manifest
    tokens: list[bool] = field(default_factory=list)  # whether each is revoked
    retrieved: dict[int, int] = field(default_factory=dict)
    events: int = 0
    ids: Ids = field(default_factory=Ids)

    def present(self, number: int) -> bool:
        return self.states.get(number) in ("live", "damaged")

    def referenced(self, number: int) -> bool:
        return (
            any(number in name.live for name in self.names.values())
            or any(number in (manifest, *package.members) for manifest, package in self.packages.items())
            or any(number == statement for known in self.attestations.values() for statement, _ in known)
        )

    def usage(self, namespace: str) -> Usage:
        """Counted anew each time: an object has as many bytes as its number."""
        held = [number for number, claimed in self.claims if claimed == namespace]
        held += [number for key, name in self.names.items() if key[0] == namespace for number in name.live]
        return Usage(namespace, len(held), sum(held))

    def add_version(self, key: NameKey, number: int) -> int:
        """The next version's number."""
        name = self.names.setdefault(key, Name())
        name.objects.append(number)
        self.labels[key, len(name.objects)] = (1, {"b": "2", "a": "é"})
        self.events += 1
        return len(name.objects)

    def demand_room(self, quota: Quota | None, namespace: str, number: int) -> None:
        used = self.usage(namespace)
        most = Quota() if quota is None else quota
        if most.objects is not None and used.objects >= most.objects:
            raise QuotaExceededError("")
        if most.size_bytes is not None and used.size_bytes + number > most.size_bytes:
            raise QuotaExceededError("")

    def demand(self, number: int) -> None:
        if not self.present(number):
            raise ObjectNotFoundError("")

    def upload(self, number: int, *, mended: bool) -> bool:
        """Whether it is new."""
        if not self.present(number):
            self.states[number] = "live"
            self.events += 1
            return True
        if mended or self.states[number] == "damaged":
            self.states[number] = "live"
            self.events += 1
        self.damage.pop(number, None)
        return False


class Operation(Protocol):
    def expect(self, model: Model) -> object:
        """Change the model; what the answer says, or the error raised."""
        ...

    def ask(self, registry: Registry, ids: Ids) -> Awaitable[object]:
        """The same of the registry."""
        ...


@dataclass(frozen=True)
class Put:
    number: int
    namespace: str
    mended: bool
    quota: Quota | None

    def expect(self, model: Model) -> object:
        if (self.number, self.namespace) not in model.claims:
            model.demand_room(self.quota, self.namespace, self.number)
        new = model.upload(self.number, mended=self.mended)
        if (self.number, self.namespace) not in model.claims:
            model.claims.add((self.number, self.namespace))
            model.events += not new
        return new

    async def ask(self, registry: Registry, ids: Ids) -> object:
        return (await put_object(registry, self.number, self.namespace, mended=self.mended, quota=self.quota))[1]


@dataclass(frozen=True)
class File:
    number: int
    namespace: str
    name: str
    create_only: bool
    if_match: int | None
    quota: Quota | None

    def expect(self, model: Model) -> object:
        name = model.names.get((self.namespace, self.name), Name())
        if (self.create_only and name.live) or (self.if_match is not None and name.live[-1:] != [self.if_match]):
            raise PreconditionFailedError("")
        model.demand_room(self.quota, self.namespace, self.number)
        new = model.upload(self.number, mended=False)
        return model.add_version((self.namespace, self.name), self.number), new

    async def ask(self, registry: Registry, ids: Ids) -> object:
        condition = None if self.if_match is None else frozenset({identity(self.if_match).blake3})
        options = {"create_only": self.create_only, "if_match": condition, "quota": self.quota}
        artifact, new = await put_file(registry, self.name, self.number, self.namespace, **options)
        ids.artifacts[(self.namespace, self.name), artifact.version] = artifact.id
        return artifact.version, new


@dataclass(frozen=True)
class Damage:
    number: int
    reason: str

    def expect(self, model: Model) -> object:
        model.demand(self.number)
        model.events += model.damage.get(self.number) != self.reason
        model.states[self.number], model.damage[self.number] = "damaged", self.reason
        return "damaged"

    async def ask(self, registry: Registry, ids: Ids) -> object:
        return (await damage(registry, self.number, self.reason)).state.value


@dataclass(frozen=True)
class Mend:
    number: int

    def expect(self, model: Model) -> object:
        model.demand(self.number)
        model.events += model.states[self.number] == "damaged"
        model.states[self.number] = "live"
        model.damage.pop(self.number, None)
        return "live"

    async def ask(self, registry: Registry, ids: Ids) -> object:
        return (await registry.mark_sound(identity(self.number).blake3, actor=ACTOR)).state.value


@dataclass(frozen=True)
class Delete:
    number: int

    def expect(self, model: Model) -> object:
        model.demand(self.number)
        if model.referenced(self.number):
            raise ObjectInUseError("")
        model.states[self.number] = "deleting"
        model.damage.pop(self.number, None)
        model.claims = {claim for claim in model.claims if claim[0] != self.number}
        model.attestations.pop(self.number, None)
        model.events += 1
        return "deleting"

    async def ask(self, registry: Registry, ids: Ids) -> object:
        return (await registry.delete_object(identity(self.number).blake3, actor=ACTOR)).state.value


@dataclass(frozen=True)
class Purge:
    number: int

    def expect(self, model: Model) -> object:
        if model.states.get(self.number) == "deleting":
            model.states[self.number] = "purged"
            model.events += 1
        return None

    async def ask(self, registry: Registry, ids: Ids) -> None:
        await registry.purge_object(identity(self.number).blake3, actor=ACTOR)


@dataclass(frozen=True)
class Tombstone:
    namespace: str
    name: str

    def expect(self, model: Model) -> object:
        name = model.names.get((self.namespace, self.name), Name())
        if not name.live:
            raise ArtifactNotFoundError("")
        name.tombstoned = len(name.objects)
        model.events += 1
        return name.tombstoned

    async def ask(self, registry: Registry, ids: Ids) -> object:
        return await registry.tombstone(self.namespace, self.name, actor=ACTOR)


@dataclass(frozen=True)
class Retrieve:
    number: int
    counts: tuple[int, ...]

    def expect(self, model: Model) -> object:
        model.events += bool(self.counts)
        if self.counts:
            model.retrieved[self.number] = model.retrieved.get(self.number, 0) + sum(self.counts)
        return None

    async def ask(self, registry: Registry, ids: Ids) -> None:
        blake3 = identity(self.number).blake3
        entries = [Retrievals(blake3, None, "reader", "2026-01-31T23:59Z", count, 0) for count in self.counts]
        await registry.record_retrievals(entries, actor=ACTOR)


def outcome(work: Callable[[], Any]) -> object:
    """What `work` returns, or the type of the error it raises."""
    try:
        return work()
    except Exception as error:
        return type(error)
