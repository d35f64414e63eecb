"""What the registry should do, in dictionaries: each operation with its outcome and the number of its events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from artifactstore.domain.artifact import Retrievals
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ObjectInUseError,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, damage, identity, put_file, put_object


@dataclass
class Name:
    objects: list[int] = field(default_factory=list)  # by version, from 1
    tombstoned: int = 0

    @property
    def live(self) -> list[int]:
        return self.objects[self.tombstoned :]


@dataclass
class Model:
    states: dict[int, str] = field(default_factory=dict)
    damage: dict[int, str] = field(default_factory=dict)
    claims: set[tuple[int, str]] = field(default_factory=set)
    names: dict[tuple[str, str], Name] = field(default_factory=dict)
    retrieved: dict[int, int] = field(default_factory=dict)
    events: int = 0

    def present(self, number: int) -> bool:
        return self.states.get(number) in ("live", "damaged")

    def referenced(self, number: int) -> bool:
        return any(number in name.live for name in self.names.values())

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

    def ask(self, registry: Registry) -> Awaitable[object]:
        """The same of the registry."""
        ...


@dataclass(frozen=True)
class Put:
    number: int
    namespace: str
    mended: bool

    def expect(self, model: Model) -> object:
        new = model.upload(self.number, mended=self.mended)
        if (self.number, self.namespace) not in model.claims:
            model.claims.add((self.number, self.namespace))
            model.events += not new
        return new

    async def ask(self, registry: Registry) -> object:
        return (await put_object(registry, self.number, self.namespace, mended=self.mended))[1]


@dataclass(frozen=True)
class File:
    number: int
    namespace: str
    name: str
    create_only: bool
    if_match: int | None

    def expect(self, model: Model) -> object:
        name = model.names.get((self.namespace, self.name), Name())
        if (self.create_only and name.live) or (self.if_match is not None and name.live[-1:] != [self.if_match]):
            raise PreconditionFailedError("")
        new = model.upload(self.number, mended=False)
        name.objects.append(self.number)
        model.names[self.namespace, self.name] = name
        model.events += 1
        return len(name.objects), new

    async def ask(self, registry: Registry) -> object:
        condition = None if self.if_match is None else frozenset({identity(self.if_match).blake3})
        artifact, new = await put_file(
            registry, self.name, self.number, self.namespace, create_only=self.create_only, if_match=condition
        )
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

    async def ask(self, registry: Registry) -> object:
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

    async def ask(self, registry: Registry) -> object:
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
        model.events += 1
        return "deleting"

    async def ask(self, registry: Registry) -> object:
        return (await registry.delete_object(identity(self.number).blake3, actor=ACTOR)).state.value


@dataclass(frozen=True)
class Purge:
    number: int

    def expect(self, model: Model) -> object:
        if model.states.get(self.number) == "deleting":
            model.states[self.number] = "purged"
            model.events += 1
        return None

    async def ask(self, registry: Registry) -> None:
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

    async def ask(self, registry: Registry) -> object:
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

    async def ask(self, registry: Registry) -> None:
        blake3 = identity(self.number).blake3
        entries = [Retrievals(blake3, None, "reader", "2026-01-31T23:59Z", count, 0) for count in self.counts]
        await registry.record_retrievals(entries, actor=ACTOR)


def outcome(work: Callable[[], Any]) -> object:
    """What `work` returns, or the type of the error it raises."""
    try:
        return work()
    except Exception as error:
        return type(error)
