"""Records as JSON documents: the same over HTTP and on the command line."""

from __future__ import annotations

from artifactstore.domain.artifact import Artifact, Retrievals
from artifactstore.domain.names import parse_provenance


def artifact_document(artifact: Artifact) -> dict[str, object]:
    """An artifact's record."""
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
        "retention": metadata.retention,
        "blake3": str(artifact.identity.blake3),
        "sha256": str(artifact.identity.sha256),
        "size_bytes": artifact.identity.size_bytes,
        "created_at": artifact.created_at,
        "created_by": artifact.created_by,
        "revision": artifact.revision,
        "deleted": artifact.deleted,
    }


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
