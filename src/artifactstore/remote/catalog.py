"""A server's artifacts beyond their bytes: search, records of what is stored, labels, lineage, statements."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import hdrs

from artifactstore.domain import errors, names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Attestation
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import parse_artifact, parse_attestation, parse_lineage
from artifactstore.domain.lineage import Lineage
from artifactstore.domain.search import SearchTerms
from artifactstore.remote.connection import Connection
from artifactstore.remote.uploads import ASK_FIRST_BYTES, conditions
from artifactstore.spi import ArtifactPage, Condition


class RemoteCatalog:
    """The part of `RemoteStore` that is about artifacts' records."""

    _server: Connection

    # --- artifacts --------------------------------------------------------------------------------------------------

    async def artifact(self, artifact_id: UUID) -> Artifact:
        """One artifact by its id, deleted ones included; ArtifactNotFoundError."""
        return await self._server.ask("GET", f"/v1/artifacts/{artifact_id}", parse_artifact)

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
        """A page of artifacts in the order of namespace, name, version."""
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
        query = [*_parameters(terms), ("limit", str(limit))]
        if cursor is not None:
            if not cursor.isascii():
                raise errors.InvalidQueryError("the cursor is not one of this search", field="cursor")
            query.append(("cursor", cursor))

        def parse(document: dict[str, Any]) -> ArtifactPage:
            return ArtifactPage(tuple(parse_artifact(item) for item in document["items"]), document["next"])

        return await self._server.ask("GET", "/v1/artifacts", parse, query=query)

    async def record_artifact(
        self,
        namespace: str,
        name: str,
        digest: Digest,
        *,
        metadata: ArtifactMetadata | None = None,
        create_only: bool = False,
        if_match: Condition = None,
    ) -> Artifact:
        """Record bytes that the server has as the next version of a name."""
        metadata = (metadata or ArtifactMetadata()).checked()
        document = {
            "namespace": names.check_namespace(namespace),
            "name": names.check_name(name),
            "digest": str(digest),
            "kind": metadata.kind,
            "media_type": metadata.media_type,
            "labels": metadata.labels,
            "provenance": metadata.provenance,
            "retention": metadata.retention,
        }
        headers = conditions(create_only, if_match)
        return await self._server.once(
            lambda key: self._server.ask(
                "POST", "/v1/artifacts", parse_artifact, json=document, headers=[*headers, key]
            )
        )

    async def relabel(
        self, artifact_id: UUID, changes: Mapping[str, str | None], *, if_match: frozenset[int] | None = None
    ) -> Artifact:
        """Set labels, or take away those whose value is None; others stay."""
        document = {"labels": names.check_label_changes(changes)}
        tags = None if if_match is None else ", ".join(f'"{revision}"' for revision in sorted(if_match))
        headers = [] if tags is None else [(hdrs.IF_MATCH, tags)]
        path = f"/v1/artifacts/{artifact_id}"
        return await self._server.ask("PATCH", path, parse_artifact, json=document, headers=headers)

    # --- lineage ----------------------------------------------------------------------------------------------------

    async def sources(self, artifact_id: UUID, *, depth: int = 1) -> Lineage:
        """What an artifact was made from, and what that was made from, to a depth of 1 to 32."""
        path = f"/v1/artifacts/{artifact_id}/provenance"
        return await self._server.ask("GET", path, parse_lineage, query=[("depth", str(depth))])

    async def derived(self, artifact_id: UUID, *, depth: int = 1) -> Lineage:
        """What was made from an artifact, or from its bytes, and from that."""
        path = f"/v1/artifacts/{artifact_id}/derived"
        return await self._server.ask("GET", path, parse_lineage, query=[("depth", str(depth))])

    # --- statements -------------------------------------------------------------------------------------------------

    async def attest(self, artifact_id: UUID, document: bytes) -> tuple[Attestation, bool]:
        """Attach a statement, plain or in a DSSE envelope, to an artifact's object. True: that is new."""

        def parse(answer: dict[str, Any]) -> tuple[Attestation, bool]:
            return parse_attestation(answer), bool(answer["created"])

        return await self._server.once(
            lambda key: self._server.ask(
                "POST",
                f"/v1/artifacts/{artifact_id}/attestations",
                parse,
                data=io.BytesIO(document),  # aiohttp warns of bytes that are large
                headers=[(hdrs.CONTENT_TYPE, "application/json"), key],
                expect100=len(document) >= ASK_FIRST_BYTES,
            )
        )

    async def attestations(self, artifact_id: UUID) -> tuple[Attestation, ...]:
        """What is attached to an artifact's object, in the order of attaching. ArtifactNotFoundError."""

        def parse(document: dict[str, Any]) -> tuple[Attestation, ...]:
            return tuple(parse_attestation(item) for item in document["items"])

        return await self._server.ask("GET", f"/v1/artifacts/{artifact_id}/attestations", parse)


def _parameters(terms: SearchTerms) -> list[tuple[str, str]]:
    """Terms as the query writes them."""
    query = [("label", key if value is None else f"{key}={value}") for key, value in terms.labels]
    for item in fields(terms):
        value = getattr(terms, item.name)
        if item.name != "labels" and value is not None:
            query.append((item.name, value.isoformat() if isinstance(value, datetime) else str(value)))
    return query
