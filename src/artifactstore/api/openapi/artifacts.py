"""`/v1/artifacts`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import (
    B3_EXAMPLE,
    CURSOR,
    IDENTITY,
    IDENTITY_EXAMPLE,
    PREFIX,
    TIME,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
)
from artifactstore.api.openapi.content import content_operation
from artifactstore.api.openapi.parts import (
    Json,
    answer,
    flag,
    headers,
    operation,
    or_null,
    page,
    parameter,
    parameters,
    query,
    record,
    schema,
    text,
    whole,
)
from artifactstore.domain import errors, names

TAG = {"name": "artifacts", "description": "The records: what was stored, as what, when and by whom."}

_ID = parameter("path", "id", "The artifact's id.", schema("UUID"), example=UUID_EXAMPLE)
_BY_ID = (errors.InvalidInputError, errors.ArtifactNotFoundError)

PATHS: Json = {
    "/v1/artifacts": {
        "get": operation(
            "searchArtifacts",
            "Search",
            description="In the order of namespace, name, version; artifacts of tombstoned names are left out. A page "
            "may be short, or empty, and have a `next` all the same: only `next` null is the end. A parameter that is "
            "not known is refused.",
            parameters=[
                query("namespace", "Artifacts of this namespace.", schema("Namespace"), example="default"),
                query("name", "Versions of this name.", schema("Name"), example="reports/today.txt"),
                query(
                    "name_prefix",
                    "Names that begin so.",
                    {"type": "string", "pattern": PREFIX, "maxLength": names.MAX_NAME_BYTES},
                    example="reports/",
                ),
                *parameters("limit", "cursor"),
            ],
            answers={200: answer("A page", schema("ArtifactPage"), headers=headers("Link"))},
            refused=[errors.InvalidQueryError, errors.InvalidNameError, *refusals.READING],
        )
    },
    "/v1/artifacts/{id}": {
        "parameters": [_ID],
        "get": operation(
            "getArtifact",
            "One record, of a deleted artifact too",
            parameters=parameters("If-None-Match"),
            answers={
                200: answer("The record", schema("Artifact"), headers=headers(ETag="RevisionETag")),
                304: answer("The client has it", headers=headers(ETag="RevisionETag")),
            },
            refused=[*_BY_ID, *refusals.READING],
        ),
    },
    "/v1/artifacts/{id}/content": {
        "parameters": [_ID],
        "get": content_operation(
            "getArtifactContent",
            "The content of that version",
            refused=[*_BY_ID, errors.ObjectNotFoundError],
            located=True,
        ),
    },
    "/v1/artifacts/{id}/retrievals": {
        "parameters": [_ID],
        "get": operation(
            "getRetrievals",
            "Who read it",
            answers={200: answer("Downloads, summed by actor and minute", schema("RetrievalsList"))},
            refused=[*_BY_ID, *refusals.READING],
        ),
    },
}

ARTIFACT: Json = {
    "id": schema("UUID"),
    "namespace": schema("Namespace"),
    "name": schema("Name"),
    "version": whole("Counts the versions of the name, without a gap.", 1),
    "kind": or_null(schema("Word")),
    "media_type": text("The media type of its content.", maxLength=names.MAX_MEDIA_TYPE_CHARACTERS),
    "labels": {
        "type": "object",
        "description": "Its labels.",
        "additionalProperties": {"type": "string"},
        "maxProperties": names.MAX_LABELS,
    },
    "provenance": {
        "type": ["object", "string", "null"],
        "description": "The value of `provenance_text`: an object, or a digest. A number that no double holds is text.",
    },
    "provenance_text": or_null(text("Provenance as it was given, byte for byte.")),
    "retention": or_null(schema("Word")),
    **IDENTITY,
    "created_at": TIME,
    "created_by": text("Who recorded it."),
    "revision": whole("Counts the events that changed the record.", 1),
    "deleted": flag("Its name was tombstoned after it."),
}
ARTIFACT_EXAMPLE: Json = {
    "id": UUID_EXAMPLE,
    "namespace": "default",
    "name": "reports/today.txt",
    "version": 1,
    "kind": "report",
    "media_type": "text/plain",
    "labels": {"team": "qa"},
    "provenance": {"producer": "ci"},
    "provenance_text": '{"producer": "ci"}',
    "retention": None,
    **IDENTITY_EXAMPLE,
    "created_at": TIME_EXAMPLE,
    "created_by": "anonymous",
    "revision": 1,
    "deleted": False,
}

SCHEMAS: Json = {
    "Artifact": record("An artifact's record.", ARTIFACT, example=ARTIFACT_EXAMPLE),
    "ArtifactPage": page("A page of records.", "Artifact", or_null(CURSOR)),
    "Retrievals": record(
        "Downloads by one actor within one minute.",
        {
            "blake3": schema("Blake3Digest"),
            "artifact_id": or_null(schema("UUID")),
            "actor": text("Who read."),
            "minute": text("When, in UTC.", pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z$"),
            "count": whole("How many downloads.", 1),
            "size_bytes": whole("How many bytes were sent, in sum."),
        },
        example={
            "blake3": B3_EXAMPLE,
            "artifact_id": UUID_EXAMPLE,
            "actor": "anonymous",
            "minute": "2026-01-31T23:59Z",
            "count": 2,
            "size_bytes": 32,
        },
    ),
    "RetrievalsList": record("Who read an artifact.", {"items": {"type": "array", "items": schema("Retrievals")}}),
}
