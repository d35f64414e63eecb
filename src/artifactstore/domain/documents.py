"""Records as JSON documents, and back: the same over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Retrievals
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.names import parse_provenance


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
