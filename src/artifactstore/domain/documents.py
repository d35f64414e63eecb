"""Records as JSON documents, and back: the same over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from artifactstore.domain.artifact import (
    Artifact,
    ArtifactMetadata,
    Attestation,
    Package,
    Retrievals,
    SealedMember,
    SignatureOutcome,
)
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.lineage import Edge, Lineage
from artifactstore.domain.names import parse_provenance
from artifactstore.domain.provenance import parse_input
from artifactstore.domain.token import Scope, Token


def identity_document(identity: ObjectIdentity) -> dict[str, object]:
    """Both digests and the size."""
    return {"blake3": str(identity.blake3), "sha256": str(identity.sha256), "size_bytes": identity.size_bytes}


def parse_identity(document: Mapping[str, Any]) -> ObjectIdentity:
    """The inverse of `identity_document`; other members are not looked at."""
    return ObjectIdentity(Digest.parse(document["blake3"]), Digest.parse(document["sha256"]), document["size_bytes"])


def artifact_document(artifact: Artifact) -> dict[str, object]:
    """An artifact's record. `provenance` is there to be read, `provenance_text` as it was given, byte for byte."""
    metadata = artifact.metadata
    return {
        "id": str(artifact.id),
        "namespace": artifact.namespace,
        "name": artifact.name,
        "version": artifact.version,
        "kind": metadata.kind,
        "media_type": metadata.media_type,
        "labels": metadata.labels,
        "provenance": None if metadata.provenance is None else parse_provenance(metadata.provenance),
        "provenance_text": metadata.provenance,
        "retention": metadata.retention,
        **identity_document(artifact.identity),
        "created_at": artifact.created_at,
        "created_by": artifact.created_by,
        "revision": artifact.revision,
        "deleted": artifact.deleted,
    }


def parse_artifact(document: Mapping[str, Any]) -> Artifact:
    """The inverse of `artifact_document`."""
    return Artifact(
        id=UUID(document["id"]),
        namespace=document["namespace"],
        name=document["name"],
        version=document["version"],
        identity=parse_identity(document),
        metadata=ArtifactMetadata(
            kind=document["kind"],
            media_type=document["media_type"],
            labels=dict(document["labels"]),
            provenance=document["provenance_text"],
            retention=document["retention"],
        ),
        created_at=document["created_at"],
        created_by=document["created_by"],
        revision=document["revision"],
        deleted=document["deleted"],
    )


def retrievals_document(retrievals: Retrievals) -> dict[str, object]:
    """Downloads by one actor within one minute."""
    return {
        "blake3": str(retrievals.blake3),
        "artifact_id": None if retrievals.artifact_id is None else str(retrievals.artifact_id),
        "actor": retrievals.actor,
        "minute": retrievals.minute,
        "count": retrievals.count,
        "size_bytes": retrievals.size_bytes,
    }


def parse_retrievals(document: Mapping[str, Any]) -> Retrievals:
    """The inverse of `retrievals_document`."""
    artifact_id = document["artifact_id"]
    return Retrievals(
        blake3=Digest.parse(document["blake3"]),
        artifact_id=None if artifact_id is None else UUID(artifact_id),
        actor=document["actor"],
        minute=document["minute"],
        count=document["count"],
        size_bytes=document["size_bytes"],
    )


def lineage_document(lineage: Lineage) -> dict[str, object]:
    """A walk: the artifacts it has reached, and which of them names which input."""
    return {
        "artifacts": [artifact_document(artifact) for artifact in lineage.artifacts.values()],
        "edges": [
            {"artifact": str(edge.artifact_id), "input": str(edge.input), "level": edge.level} for edge in lineage.edges
        ],
        "truncated": lineage.truncated,
    }


def parse_lineage(document: Mapping[str, Any]) -> Lineage:
    """The inverse of `lineage_document`."""
    artifacts = [parse_artifact(item) for item in document["artifacts"]]
    edges = [Edge(UUID(item["artifact"]), parse_input(item["input"]), item["level"]) for item in document["edges"]]
    return Lineage({artifact.id: artifact for artifact in artifacts}, edges, document["truncated"])


def attestation_document(attestation: Attestation) -> dict[str, object]:
    """A statement about an object, as it was attached."""
    return {
        "blake3": str(attestation.blake3),
        "statement": str(attestation.statement),
        "predicate_type": attestation.predicate_type,
        "signature": str(attestation.signature),
        "key_id": attestation.key_id,
        "created_at": attestation.created_at,
        "created_by": attestation.created_by,
    }


def parse_attestation(document: Mapping[str, Any]) -> Attestation:
    """The inverse of `attestation_document`."""
    return Attestation(
        Digest.parse(document["blake3"]),
        Digest.parse(document["statement"]),
        document["predicate_type"],
        SignatureOutcome(document["signature"]),
        document["key_id"],
        document["created_at"],
        document["created_by"],
    )


def package_document(package: Package) -> dict[str, object]:
    """A package's record, without its members."""
    return {
        "id": str(package.id),
        "namespace": package.namespace,
        "name": package.name,
        "manifest": identity_document(package.manifest),
        "member_count": package.members,
        "size_bytes": package.size_bytes,
        "supersedes": _id_or_none(package.supersedes),
        "superseded_by": _id_or_none(package.superseded_by),
        "created_at": package.created_at,
        "created_by": package.created_by,
    }


def parse_package(document: Mapping[str, Any]) -> Package:
    """The inverse of `package_document`."""
    return Package(
        UUID(document["id"]),
        document["namespace"],
        document["name"],
        parse_identity(document["manifest"]),
        document["member_count"],
        document["size_bytes"],
        document["created_at"],
        document["created_by"],
        _parse_id_or_none(document["supersedes"]),
        _parse_id_or_none(document["superseded_by"]),
    )


def member_document(member: SealedMember) -> dict[str, object]:
    """One member of a package."""
    return {
        "name": member.name,
        **identity_document(member.identity),
        "media_type": member.media_type,
        "artifact_id": _id_or_none(member.artifact_id),
    }


def parse_member(document: Mapping[str, Any]) -> SealedMember:
    """The inverse of `member_document`."""
    artifact_id = _parse_id_or_none(document["artifact_id"])
    return SealedMember(document["name"], parse_identity(document), document["media_type"], artifact_id)


def token_document(token: Token) -> dict[str, object]:
    """A token's record: nothing of its secret."""
    return {
        "id": str(token.id),
        "name": token.name,
        "scopes": sorted(token.scopes),
        "namespaces": sorted(token.namespaces),
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }


def parse_token(document: Mapping[str, Any]) -> Token:
    """The inverse of `token_document`; the hash of its secret is not there."""
    return Token(
        UUID(document["id"]),
        document["name"],
        b"",
        frozenset(Scope(item) for item in document["scopes"]),
        frozenset(document["namespaces"]),
        document["created_at"],
        document["created_by"],
        document["expires_at"],
        document["revoked_at"],
    )


def _id_or_none(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _parse_id_or_none(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)
