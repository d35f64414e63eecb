"""More operations of the model: known objects, labels, statements, packages, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, ObjectState, SignatureOutcome
from artifactstore.domain.digest import Algorithm
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ObjectDamagedError,
    PackageNotFoundError,
    PreconditionFailedError,
    TokenNotFoundError,
)
from artifactstore.domain.token import Scope
from artifactstore.domain.usage import Quota
from artifactstore.registry.events import Member
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, identity
from tests.unit.registry.model import Ids, Model, Name, Package

NOBODY = UUID(int=0)
METADATA = ArtifactMetadata(labels={"b": "2", "a": "é"})


def demand_whole(model: Model, number: int) -> None:
    model.demand(number)
    if model.states[number] == "damaged":
        raise ObjectDamagedError("")


@dataclass(frozen=True)
class Known:
    number: int
    namespace: str
    name: str
    create_only: bool
    quota: Quota | None

    def expect(self, model: Model) -> object:
        key = (self.namespace, self.name)
        if self.create_only and model.names.get(key, Name()).live:
            raise PreconditionFailedError("")
        model.demand_room(self.quota, self.namespace, self.number)
        demand_whole(model, self.number)
        return model.add_version(key, self.number)

    async def ask(self, registry: Registry, ids: Ids) -> object:
        record = ObjectRecord(identity(self.number), "memory", Algorithm.BLAKE3, ObjectState.LIVE, "")
        artifact = await registry.record_known(
            record,
            namespace=self.namespace,
            name=self.name,
            metadata=METADATA,
            create_only=self.create_only,
            quota=self.quota,
            actor=ACTOR,
        )
        ids.artifacts[(self.namespace, self.name), artifact.version] = artifact.id
        return artifact.version


@dataclass(frozen=True)
class Relabel:
    namespace: str
    name: str
    version: int
    changes: tuple[tuple[str, str | None], ...]
    if_match: int | None

    def expect(self, model: Model) -> object:
        key = (self.namespace, self.name)
        if (key, self.version) not in model.ids.artifacts or self.version <= model.names[key].tombstoned:
            raise ArtifactNotFoundError("")
        revision, labels = model.labels[key, self.version]
        if self.if_match not in (None, revision):
            raise PreconditionFailedError("")
        after = {label: value for label, value in {**labels, **dict(self.changes)}.items() if value is not None}
        if labels != after:
            model.labels[key, self.version] = (revision + 1, after)
            model.events += 1
        return None

    async def ask(self, registry: Registry, ids: Ids) -> None:
        artifact_id = ids.artifacts.get(((self.namespace, self.name), self.version), NOBODY)
        artifact = Artifact(artifact_id, self.namespace, self.name, self.version, identity(1), METADATA, "", "")
        if_match = None if self.if_match is None else frozenset({self.if_match})
        await registry.relabel(artifact, dict(self.changes), if_match=if_match, actor=ACTOR)


@dataclass(frozen=True)
class Attest:
    number: int
    statement: int
    signature: SignatureOutcome

    def expect(self, model: Model) -> object:
        model.demand(self.number)
        model.demand(self.statement)
        known = model.attestations.setdefault(self.number, [])
        new = (self.statement, self.signature.value) not in known
        if new:
            known.append((self.statement, self.signature.value))
            model.events += 1
        return self.statement, new

    async def ask(self, registry: Registry, ids: Ids) -> object:
        attestation, new = await registry.attest(
            identity(self.number).blake3,
            identity(self.statement).blake3,
            predicate_type="https://slsa.dev/provenance/v1",
            signature=self.signature,
            key_id=None,
            actor=ACTOR,
        )
        assert attestation.statement == identity(self.statement).blake3
        return self.statement, new


@dataclass(frozen=True)
class Seal:
    manifest: int
    members: tuple[int, ...]
    namespace: str
    supersedes: int | None

    def expect(self, model: Model) -> object:
        if self.manifest in model.packages:
            return False
        for number in (self.manifest, *self.members):
            demand_whole(model, number)
        if self.supersedes is not None:
            earlier = model.packages.get(self.supersedes)
            known = earlier is not None and self.supersedes in model.ids.packages
            if earlier is None or not known or earlier.namespace != self.namespace:
                raise PackageNotFoundError("")
            if earlier.superseded_by is not None:
                raise PreconditionFailedError("")
            earlier.superseded_by = self.manifest
        model.packages[self.manifest] = Package(self.namespace, self.members)
        model.events += 1
        return True

    async def ask(self, registry: Registry, ids: Ids) -> object:
        members = tuple(
            Member(str(place), identity(number).blake3, "text/plain", None) for place, number in enumerate(self.members)
        )
        package, new = await registry.seal_package(
            self.namespace,
            "p",
            identity(self.manifest).blake3,
            members,
            supersedes=None if self.supersedes is None else ids.packages.get(self.supersedes, NOBODY),
            actor=ACTOR,
        )
        assert ids.packages.setdefault(self.manifest, package.id) == package.id
        return new


@dataclass(frozen=True)
class Issue:
    scopes: frozenset[Scope]

    def expect(self, model: Model) -> object:
        model.tokens.append(False)
        model.events += 1
        return self.scopes

    async def ask(self, registry: Registry, ids: Ids) -> object:
        token = await registry.issue_token(
            "ci", bytes(32), scopes=self.scopes, namespaces=frozenset({"*"}), expires_at=None, actor=ACTOR
        )
        ids.tokens.append(token.id)
        return token.scopes


@dataclass(frozen=True)
class Revoke:
    place: int

    def expect(self, model: Model) -> object:
        if self.place >= len(model.ids.tokens):
            raise TokenNotFoundError("")
        model.events += not model.tokens[self.place]
        model.tokens[self.place] = True
        return True

    async def ask(self, registry: Registry, ids: Ids) -> object:
        token_id = ids.tokens[self.place] if self.place < len(ids.tokens) else NOBODY
        return (await registry.revoke_token(token_id, actor=ACTOR)).revoked_at is not None
