"""What the registry keeps of artifacts beside their names and bytes: labels, lineage, statements, packages, tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from operator import itemgetter
from uuid import UUID

from uuid_utils.compat import uuid7

from artifactstore.domain.artifact import (
    Artifact,
    ArtifactMetadata,
    Attestation,
    ObjectRecord,
    Package,
    SealedMember,
    SignatureOutcome,
)
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ArtifactNotFoundError, PackageNotFoundError
from artifactstore.domain.lineage import Lineage
from artifactstore.domain.once import Once
from artifactstore.domain.token import Scope, Token
from artifactstore.domain.usage import Quota, Usage
from artifactstore.registry import commands, lineage, queries
from artifactstore.registry.commands import Condition
from artifactstore.registry.events import Member, ObjectAttested, PackageSealed, TokenIssued
from artifactstore.registry.lineage import Visible
from artifactstore.registry.log import Command
from artifactstore.registry.sqlite import Readers

_PAGE = 1000


class Catalog(ABC):
    """The part of the registry that needs nothing but its log and its readers."""

    _readers: Readers

    @abstractmethod
    async def _append[T](self, command: Command[T], actor: str, once: Once[T] | None = None) -> T: ...

    @abstractmethod
    async def artifact(self, artifact_id: UUID) -> Artifact | None:
        """One artifact, deleted ones included."""
        ...

    # --- artifacts --------------------------------------------------------------------------------------------------

    async def record_known(
        self,
        record: ObjectRecord,
        *,
        namespace: str,
        name: str,
        metadata: ArtifactMetadata,
        create_only: bool = False,
        if_match: Condition = None,
        quota: Quota | None = None,
        actor: str,
        once: Once[Artifact] | None = None,
    ) -> Artifact:
        """Record an object that is stored already as the next version of a name.

        ObjectNotFoundError, ObjectDamagedError; PreconditionFailedError, QuotaExceededError.
        """
        known = commands.StoredBytes(record.identity)
        command = commands.RecordArtifact(known, uuid7(), namespace, name, metadata, create_only, if_match, quota)
        artifact, _ = await self._append(command, actor, None if once is None else once.of(itemgetter(0)))
        return artifact

    async def relabel(
        self, artifact: Artifact, changes: dict[str, str | None], *, if_match: frozenset[int] | None, actor: str
    ) -> Artifact:
        """Set labels, which are checked, or take them away (None); the artifact as it is now.

        ArtifactNotFoundError: its name is tombstoned. PreconditionFailedError: its revision is none of `if_match`.
        InvalidMetadataError: it would have too many.
        """
        await self._append(commands.Relabel(artifact.id, artifact.namespace, artifact.name, changes, if_match), actor)
        changed = await self.artifact(artifact.id)
        if changed is None:
            raise ArtifactNotFoundError(f"there is no artifact {artifact.id}")
        return changed

    async def sources(self, artifact: Artifact, depth: int, visible: Visible) -> Lineage:
        """What it was made from. InvalidQueryError: the depth."""
        return await self._readers.run(partial(lineage.sources, start=artifact, depth=depth, visible=visible))

    async def derived(self, artifact: Artifact, depth: int, visible: Visible) -> Lineage:
        """What was made from it. InvalidQueryError: the depth."""
        return await self._readers.run(partial(lineage.derived, start=artifact, depth=depth, visible=visible))

    # --- statements -------------------------------------------------------------------------------------------------

    async def attest(
        self,
        blake3: Digest,
        statement: Digest,
        *,
        predicate_type: str,
        signature: SignatureOutcome,
        key_id: str | None,
        actor: str,
        once: Once[tuple[Attestation, bool]] | None = None,
    ) -> tuple[Attestation, bool]:
        """Attach a statement, which is stored, to an object; and whether that is new. ObjectNotFoundError."""
        event = ObjectAttested(blake3, statement, predicate_type, signature, key_id)
        return await self._append(commands.Attest(event), actor, once)

    async def attestations(self, blake3: Digest, *, after: int = 0, limit: int = 100) -> list[tuple[int, Attestation]]:
        """A page of what is attached to an object, each with its place in the log, from the one after `after`."""
        return await self._readers.run(partial(queries.attestations, blake3=blake3, after=after, limit=limit))

    # --- packages ---------------------------------------------------------------------------------------------------

    async def seal_package(
        self,
        namespace: str,
        name: str,
        manifest: Digest,
        members: tuple[Member, ...],
        *,
        supersedes: UUID | None,
        actor: str,
        once: Once[tuple[Package, bool]] | None = None,
    ) -> tuple[Package, bool]:
        """Seal stored objects, whose manifest is stored, as a package; one that has this manifest is not sealed twice.

        ObjectNotFoundError, ObjectDamagedError; PackageNotFoundError: what it supersedes; PreconditionFailedError: that
        is superseded already.
        """
        event = PackageSealed(uuid7(), namespace, name, manifest, members, supersedes)
        return await self._append(commands.SealPackage(event), actor, once)

    async def package(self, package_id: UUID) -> Package:
        """One package; PackageNotFoundError."""
        found = await self._readers.run(partial(queries.package, package_id=package_id))
        if found is None:
            raise PackageNotFoundError(f"there is no package {package_id}")
        return found

    async def packages(
        self, namespaces: frozenset[str] | None = None, name: str | None = None, *, after: int = 0, limit: int = 100
    ) -> list[tuple[int, Package]]:
        """A page of packages in the order of their sealing, each with its place in the log."""
        return await self._readers.run(
            partial(queries.packages, namespaces=namespaces, name=name, after=after, limit=limit)
        )

    async def members(self, package_id: UUID) -> tuple[SealedMember, ...]:
        """All members of a package, in their order: at most as many as a package may have."""
        found: list[SealedMember] = []
        while page := await self._readers.run(
            partial(queries.members, package_id=package_id, after=len(found) - 1, limit=_PAGE)
        ):
            found += page
        return tuple(found)

    # --- answers --------------------------------------------------------------------------------------------------

    async def keep_answer[T](self, result: T, once: Once[T], *, actor: str) -> None:
        """Keep what a request that records nothing is answered. AlreadyAnsweredError, IdempotencyKeyReusedError."""
        await self._append(commands.KeepAnswer(result), actor, once)

    # --- tokens and usage -------------------------------------------------------------------------------------------

    async def issue_token(
        self,
        name: str,
        secret_hash: bytes,
        *,
        scopes: frozenset[Scope],
        namespaces: frozenset[str],
        expires_at: str | None,
        actor: str,
    ) -> Token:
        """Put a new token in force."""
        event = TokenIssued(uuid7(), name, secret_hash, scopes, namespaces, expires_at)
        return await self._append(commands.IssueToken(event), actor)

    async def revoke_token(self, token_id: UUID, *, actor: str) -> Token:
        """Put a token out of force, if it is not already; TokenNotFoundError."""
        return await self._append(commands.RevokeToken(token_id), actor)

    async def token(self, token_id: UUID) -> Token | None:
        """One token, revoked or not."""
        return await self._readers.run(partial(queries.token, token_id=token_id))

    async def tokens(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, Token]]:
        """A page of tokens in the order of their issue, each with its place in the log."""
        return await self._readers.run(partial(queries.tokens, after=after, limit=limit))

    async def usage(self, namespace: str) -> Usage:
        """What a namespace holds."""
        return await self._readers.run(partial(queries.usage, namespace=namespace))

    async def readable(self, blake3: Digest, namespaces: frozenset[str]) -> bool:
        """Whether one of these namespaces has an object."""
        return await self._readers.run(partial(queries.readable, blake3=blake3, namespaces=namespaces))
