"""`/v1/artifacts`."""

from __future__ import annotations

from artifactstore.api.artifacts import MERGE_PATCH
from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import (
    B3_EXAMPLE,
    CURSOR,
    IDENTITY,
    IDENTITY_EXAMPLE,
    LABEL,
    LABEL_KEY,
    MOMENT,
    PREFIX,
    TIME,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
)
from artifactstore.api.openapi.content import content_operation
from artifactstore.api.openapi.parts import (
    JSON,
    Json,
    answer,
    closed,
    document,
    field,
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
from artifactstore.domain.artifact import MINUTE
from artifactstore.registry.lineage import MAX_DEPTH

TAG = {"name": "artifacts", "description": "The records: what was stored, as what, when and by whom."}

_ID = parameter("path", "id", "The artifact's id.", schema("UUID"), example=UUID_EXAMPLE)
_DEPTH = query(
    "depth", "How far to go.", {"type": "integer", "minimum": 1, "maximum": MAX_DEPTH, "default": 1}, example=2
)
_SIZE: Json = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_MINUTE = "2026-01-31T23:59Z"
_AFTER = f"{_MINUTE} anonymous"
_MOMENT: Json = {"type": "string", "pattern": MOMENT}
_LABELS: Json = query(
    "label",
    "A label, `key=value`, or `key` for any value; all that are asked for must be there.",
    {"type": "array", "items": {"type": "string", "pattern": LABEL}, "maxItems": names.MAX_LABELS},
    example=["team=qa"],
)
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
                query("kind", "Artifacts of this kind.", schema("Word"), example="report"),
                _LABELS,
                query("media_type", "Artifacts of this media type, as it was given.", {"type": "string"}),
                query("digest", "Artifacts of this object.", schema("Digest")),
                query("size_min", "Objects of at least so many bytes.", _SIZE),
                query("size_max", "Objects of at most so many bytes.", _SIZE),
                query("created_after", "Recorded then or later, a time of RFC 3339; a `+` is written `%2B`.", _MOMENT),
                query("created_before", "Recorded before that.", _MOMENT),
                *parameters("limit", "cursor"),
            ],
            answers={200: answer("A page", schema("ArtifactPage"), headers=headers("Link"))},
            refused=[
                errors.InvalidQueryError,
                errors.InvalidNameError,
                errors.InvalidMetadataError,
                errors.InvalidDigestError,
                *refusals.READING,
            ],
        ),
        "post": operation(
            "recordArtifact",
            "Record an artifact for bytes that are stored already",
            description="The next version of the name. An optional member that is null says nothing.",
            parameters=[
                *parameters("Idempotency-Key"),
                field("If-Match", "Entity tags of content, or `*`: 412 unless the latest version has one of them."),
                field("If-None-Match", "`*`: create only. Entity tags: 412 if the latest version has one of them."),
            ],
            body=document("Which bytes, and what they are to be.", schema("ArtifactRequest")),
            answers={
                201: answer(
                    "The version is recorded, and durable",
                    schema("Artifact"),
                    headers=headers("Location", "Idempotency-Replayed", ETag="RevisionETag"),
                )
            },
            refused=[
                errors.InvalidNameError,
                errors.InvalidMetadataError,
                errors.ObjectNotFoundError,
                errors.ObjectDamagedError,
                errors.PreconditionFailedError,
                *refusals.DOCUMENT,
                *refusals.WRITING,
                errors.QuotaExceededError,
                *refusals.KEYED,
            ],
        ),
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
        "patch": operation(
            "labelArtifact",
            "Change its labels",
            description="A JSON merge patch (RFC 7396) of the record, of which labels alone can change: a label that "
            "is null is taken away, others stay. What changes nothing makes no revision.",
            parameters=[field("If-Match", "Revisions as entity tags, or `*`: 412 unless the record has one of them.")],
            body=document("The labels that change.", schema("LabelPatch"), MERGE_PATCH, JSON),
            answers={200: answer("The record as it is now", schema("Artifact"), headers=headers(ETag="RevisionETag"))},
            refused=[
                *_BY_ID,
                errors.InvalidMetadataError,
                errors.PreconditionFailedError,
                *refusals.DOCUMENT,
                *refusals.WRITING,
            ],
        ),
    },
    "/v1/artifacts/{id}/provenance": {
        "parameters": [_ID, _DEPTH],
        "get": operation(
            "getProvenance",
            "What it was made from, as its provenance says",
            description="From the artifact to each of its `inputs`, to the artifacts that those are or that point at "
            "those objects, and so on.",
            answers={200: answer("The walk", schema("Lineage"))},
            refused=[*_BY_ID, errors.InvalidQueryError, *refusals.READING],
        ),
    },
    "/v1/artifacts/{id}/derived": {
        "parameters": [_ID, _DEPTH],
        "get": operation(
            "getDerived",
            "What was made from it, or from its bytes",
            description="Artifacts of tombstoned names are left out.",
            answers={200: answer("The walk", schema("Lineage"))},
            refused=[*_BY_ID, errors.InvalidQueryError, *refusals.READING],
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
            parameters=[
                query(
                    "after",
                    "The `next` of the page before.",
                    {"type": "string", "pattern": rf"^{MINUTE.pattern} [^\x00-\x1f\x7f-\x9f]+$"},
                    example=_AFTER,
                ),
                *parameters("limit"),
            ],
            answers={200: answer("Downloads, summed by minute and actor, in that order", schema("RetrievalsPage"))},
            refused=[*_BY_ID, errors.InvalidQueryError, *refusals.READING],
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

_LABEL_VALUE: Json = {"type": "string", "maxLength": names.MAX_LABEL_VALUE_BYTES}

SCHEMAS: Json = {
    "ArtifactRequest": closed(
        record(
            "What is to be recorded.",
            {
                "namespace": schema("Namespace"),
                "name": schema("Name"),
                "digest": schema("Digest"),
                "kind": or_null(schema("Word")),
                "media_type": {"type": ["string", "null"], "maxLength": names.MAX_MEDIA_TYPE_CHARACTERS},
                "labels": {
                    "type": ["object", "null"],
                    "propertyNames": {"pattern": LABEL_KEY},
                    "additionalProperties": _LABEL_VALUE,
                    "maxProperties": names.MAX_LABELS,
                },
                "provenance": {
                    "type": ["object", "string", "null"],
                    "description": "An object, kept as JSON says it; or text, a digest or an object's, kept as it is.",
                },
                "retention": or_null(schema("Word")),
            },
            optional=("kind", "media_type", "labels", "provenance", "retention"),
            example={"namespace": "default", "name": "reports/today.txt", "digest": B3_EXAMPLE, "kind": "report"},
        )
    ),
    "LabelPatch": closed(
        record(
            "A merge patch of a record.",
            {
                "labels": {
                    "type": "object",
                    "propertyNames": {"pattern": LABEL_KEY},
                    "additionalProperties": or_null(_LABEL_VALUE),
                }
            },
            optional=("labels",),
            example={"labels": {"team": "qa", "old": None}},
        )
    ),
    "Lineage": record(
        "A walk: the artifacts that it reached, and which of them names which input.",
        {
            "artifacts": {"type": "array", "items": schema("Artifact")},
            "edges": {"type": "array", "items": schema("Edge")},
            "truncated": flag("There is more than an answer holds: about 1,000 artifacts and inputs."),
        },
    ),
    "Edge": record(
        "An artifact names an input.",
        {
            "artifact": schema("UUID"),
            "input": text("A digest, or an artifact's id."),
            "level": whole("How far from where the walk began.", 1),
        },
        example={"artifact": UUID_EXAMPLE, "input": B3_EXAMPLE, "level": 1},
    ),
    "Artifact": record("An artifact's record.", ARTIFACT, example=ARTIFACT_EXAMPLE),
    "ArtifactPage": page("A page of records.", "Artifact", or_null(CURSOR)),
    "Retrievals": record(
        "Downloads by one actor within one minute.",
        {
            "blake3": schema("Blake3Digest"),
            "artifact_id": or_null(schema("UUID")),
            "actor": text("Who read."),
            "minute": text("When, in UTC.", pattern=f"^{MINUTE.pattern}$"),
            "count": whole("How many downloads.", 1),
            "size_bytes": whole("How many bytes were sent, in sum."),
        },
        example={
            "blake3": B3_EXAMPLE,
            "artifact_id": UUID_EXAMPLE,
            "actor": "anonymous",
            "minute": _MINUTE,
            "count": 2,
            "size_bytes": 32,
        },
    ),
    "RetrievalsPage": page(
        "A page of who read an artifact.",
        "Retrievals",
        or_null(text("The `after` of the following page; null at the end, and only there.", examples=[_AFTER])),
    ),
}
