"""A local root's artifacts beyond their bytes: search, records of what is stored, labels, lineage, statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from artifactstore.dataplane.sources import Source
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Attestation, ObjectRecord, SignatureOutcome
from artifactstore.domain.caller import Caller
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import ArtifactNotFoundError, InvalidStatementError, ObjectTooLargeError
from artifactstore.domain.lineage import Lineage
from artifactstore.domain.once import Once
from artifactstore.domain.search import SearchTerms
from artifactstore.domain.token import Scope
from artifactstore.domain.usage import Quotas
from artifactstore.manifests.statement import MAX_STATEMENT_BYTES, Statement
from artifactstore.readcache import ReadCache
from artifactstore.registry.envelope import timestamp
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import ArtifactQuery
from artifactstore.spi import ArtifactPage, Condition, StoredObject

if TYPE_CHECKING:
    from artifactstore.manifests.dsse import PublicKey

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class StatementPolicy:
    """The keys that statements are verified with, and whether a bad signature is refused or recorded as such."""

    keys: tuple[PublicKey, ...] = ()
    refuse_bad_signatures: bool = True


class ArtifactCatalog(ABC):
    """The part of `store.Store` that is about artifacts' records."""

    registry: Registry
    caller: Caller
    _cache: ReadCache
    _statements: StatementPolicy
    _quotas: Quotas

    @abstractmethod
    async def put_object(self, source: Source, *, namespace: str = names.DEFAULT_NAMESPACE) -> StoredObject:
        """Store bytes durably."""
        ...

    @abstractmethod
    async def record(self, digest: Digest) -> ObjectRecord:
        """The record of an object that is present, and that the caller may read; ObjectNotFoundError."""
        ...

    @abstractmethod
    async def _sees(self, blake3: Digest) -> bool:
        """Whether an object, if it is there, is there for the caller."""
        ...

    @abstractmethod
    async def check_preconditions(
        self, namespace: str, name: str, *, create_only: bool = False, if_match: Condition = None
    ) -> None:
        """Refuse what would be refused when it is recorded."""
        ...

    # --- artifacts --------------------------------------------------------------------------------------------------

    async def artifact(self, artifact_id: UUID, scope: Scope = Scope.READ) -> Artifact:
        """One artifact by its id, deleted ones included, where the caller may `scope`; ArtifactNotFoundError."""
        within = self.caller.within(scope)
        artifact = await self.registry.artifact(artifact_id)
        if artifact is None or (within is not None and artifact.namespace not in within):
            raise ArtifactNotFoundError(f"there is no artifact {artifact_id}")
        return artifact

    async def live_artifact(self, artifact_id: UUID, scope: Scope = Scope.READ) -> Artifact:
        """One artifact by its id, whose content may be read; ArtifactNotFoundError when it is deleted, too."""
        artifact = await self.artifact(artifact_id, scope)
        if artifact.deleted:
            raise ArtifactNotFoundError(f"the artifact {artifact_id} is deleted")
        return artifact

    async def artifacts(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        name_prefix: str | None = None,
        kind: str | None = None,
        labels: Sequence[tuple[str, str | None]] = (),
        media_type: str | None = None,
        digest: Digest | None = None,
        size_min: int | None = None,
        size_max: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ArtifactPage:
        """A page of artifacts in the order of namespace, name, version, as `spi.ArtifactStore.artifacts` says."""
        terms = SearchTerms(
            namespace=namespace,
            name=name,
            name_prefix=name_prefix,
            kind=kind,
            labels=tuple(labels),
            media_type=media_type,
            digest=digest,
            size_min=size_min,
            size_max=size_max,
            created_after=created_after,
            created_before=created_before,
        ).checked()
        if namespace is not None:
            self.caller.require(Scope.READ, namespace)
        after, before = terms.created_after, terms.created_before
        query = ArtifactQuery(
            namespace,
            name,
            name_prefix,
            kind,
            terms.labels,
            media_type,
            digest,
            size_min,
            size_max,
            None if after is None else timestamp(after),
            None if before is None else timestamp(before),
            namespaces=None if namespace is not None else self.caller.within(Scope.READ),
            limit=limit,
            cursor=cursor,
        )
        page = await self.registry.artifacts(query)
        return ArtifactPage(page.items, page.next)

    async def record_artifact(
        self,
        namespace: str,
        name: str,
        digest: Digest,
        *,
        metadata: ArtifactMetadata | None = None,
        create_only: bool = False,
        if_match: Condition = None,
        once: Once[Artifact] | None = None,
    ) -> Artifact:
        """Record bytes that are stored already, as `spi.ArtifactStore.record_artifact` says."""
        metadata = (metadata or ArtifactMetadata()).checked()
        await self.check_preconditions(namespace, name, create_only=create_only, if_match=if_match)
        record = await self.record(digest)
        try:
            return await self.registry.record_known(
                record,
                namespace=namespace,
                name=name,
                metadata=metadata,
                create_only=create_only,
                if_match=if_match,
                quota=self._quotas.of(namespace),
                actor=self.caller.actor,
                once=once,
            )
        finally:
            self._cache.forget_name(namespace, name)

    async def relabel(
        self, artifact_id: UUID, changes: Mapping[str, str | None], *, if_match: frozenset[int] | None = None
    ) -> Artifact:
        """Change an artifact's labels, as `spi.ArtifactStore.relabel` says."""
        checked = names.check_label_changes(changes)
        artifact = await self.live_artifact(artifact_id, Scope.WRITE)
        try:
            return await self.registry.relabel(artifact, checked, if_match=if_match, actor=self.caller.actor)
        finally:
            self._cache.forget_name(artifact.namespace, artifact.name)

    # --- lineage ----------------------------------------------------------------------------------------------------

    async def sources(self, artifact_id: UUID, *, depth: int = 1) -> Lineage:
        """What an artifact was made from, and what that was made from, to a depth of 1 to 32."""
        return await self.registry.sources(await self.artifact(artifact_id), depth, self._visible)

    async def derived(self, artifact_id: UUID, *, depth: int = 1) -> Lineage:
        """What was made from an artifact, or from its bytes, and from that."""
        return await self.registry.derived(await self.artifact(artifact_id), depth, self._visible)

    def _visible(self, artifact: Artifact) -> bool:
        return self.caller.reaches(Scope.READ, artifact.namespace)

    # --- statements -------------------------------------------------------------------------------------------------

    async def attest(
        self, artifact_id: UUID, document: bytes, *, once: Once[tuple[Attestation, bool]] | None = None
    ) -> tuple[Attestation, bool]:
        """Attach a statement to an artifact's object, as `spi.ArtifactStore.attest` says."""
        from artifactstore.manifests.dsse import read_attestation  # here: it loads a library of cryptography

        if len(document) > MAX_STATEMENT_BYTES:
            raise ObjectTooLargeError(f"a statement, or its envelope, has at most {MAX_STATEMENT_BYTES} bytes")
        artifact = await self.live_artifact(artifact_id, Scope.WRITE)
        statement, verification = read_attestation(document, self._statements.keys)
        _check_subject(statement, artifact.identity)
        if verification.outcome is SignatureOutcome.FAILED and self._statements.refuse_bad_signatures:
            raise InvalidStatementError(
                f"the key {verification.keyid} did not make the signature that names it", field="signatures"
            )
        stored = await self.put_object(document, namespace=artifact.namespace)

        def told(attached: tuple[Attestation, bool]) -> tuple[Attestation, bool]:
            attestation, created = attached
            return attestation, created or stored.created  # one that the caller could not read was not there for them

        attached = await self.registry.attest(
            artifact.identity.blake3,
            stored.identity.blake3,
            predicate_type=statement.predicate_type,
            signature=verification.outcome,
            key_id=verification.keyid,
            actor=self.caller.actor,
            once=None if once is None else once.of(told),
        )
        return told(attached)

    async def attestations(self, artifact_id: UUID) -> tuple[Attestation, ...]:
        """What is attached to an artifact's object, in the order of attaching. ArtifactNotFoundError."""
        artifact = await self.artifact(artifact_id)
        found: list[Attestation] = []
        after = 0
        while page := await self.registry.attestations(artifact.identity.blake3, after=after, limit=_PAGE):
            # attached to the object, whoever has it: a statement is shown to who may read it
            found += [item for _, item in page if await self._sees(item.statement)]
            after = page[-1][0]
        return tuple(found)


def _check_subject(statement: Statement, identity: ObjectIdentity) -> None:
    """A subject is the object if it has a digest of it, and no other by the same function."""
    for subject in statement.subjects:
        if subject.addresses and all(identity.matches(digest) for digest in subject.addresses):
            return
    raise InvalidStatementError(
        f"no subject is the artifact's object: one must have the sha256 {identity.sha256.hex} "
        f"or the blake3 {identity.blake3.hex}",
        field="subject",
    )
