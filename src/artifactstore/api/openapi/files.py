"""`/v1/files/{namespace}/{name}`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.artifacts import ARTIFACT, ARTIFACT_EXAMPLE
from artifactstore.api.openapi.common import CREATED, KEYED_UPLOAD
from artifactstore.api.openapi.content import content_operation
from artifactstore.api.openapi.parts import (
    Json,
    answer,
    binary,
    field,
    headers,
    operation,
    parameter,
    parameters,
    record,
    schema,
)
from artifactstore.domain import errors

TAG = {
    "name": "files",
    "description": "Artifacts under their names. The name is what follows the namespace in the path, percent-decoded "
    "once; its `/` may be written as they are, or `%2F`.",
}

_IF_MATCH = field("If-Match", "Entity tags, or `*`: 412 unless the latest version has one of them.")
_IF_NONE_MATCH = field(
    "If-None-Match",
    "`*`: create only, 412 if the name has a live version. Entity tags: 412 if the latest version has one.",
)

PATHS: Json = {
    "/v1/files/{namespace}/{name}": {
        "parameters": [
            parameter("path", "namespace", "The namespace.", schema("Namespace"), example="default"),
            parameter("path", "name", "The name.", schema("Name"), example="reports/today.txt"),
        ],
        "get": content_operation(
            "getFile",
            "The content of the latest version, with its media type",
            refused=[errors.InvalidNameError, errors.ArtifactNotFoundError, errors.ObjectNotFoundError],
            located=True,
        ),
        "put": operation(
            "putFile",
            "Store a body as the next version of the name",
            description="`Content-Type` is recorded as the artifact's media type.",
            parameters=[
                field("Artifact-Kind", "What kind of thing it is.", schema("Word"), example="report"),
                field(
                    "Artifact-Label",
                    "`key=value`, percent-encoded UTF-8. Repeatable, at most 64, a key once; a value has at most 256 "
                    "bytes.",
                    {"type": "string", "pattern": "^[^=]+=.*$"},
                    example="team=qa",
                ),
                field(
                    "Artifact-Retention",
                    "The name of a retention class, recorded as given.",
                    schema("Word"),
                    example="short",
                ),
                field(
                    "Artifact-Provenance",
                    "A digest, or a JSON object of at most 64 KiB, kept byte for byte. One that begins with `%` is "
                    "percent-encoded whole.",
                    example='{"producer": "ci"}',
                ),
                _IF_MATCH,
                _IF_NONE_MATCH,
                *parameters(*KEYED_UPLOAD),
            ],
            body=binary("The bytes, with a length or chunked."),
            answers={
                201: answer(
                    "The version is recorded, and durable",
                    schema("StoredArtifact"),
                    headers=headers("Location", "ETag", "Idempotency-Replayed"),
                )
            },
            refused=[
                errors.InvalidNameError,
                errors.InvalidMetadataError,
                errors.PreconditionFailedError,
                *refusals.UPLOADING,
                *refusals.KEYED,
            ],
        ),
        "delete": operation(
            "deleteFile",
            "Tombstone the name",
            description="Its versions no longer refer to their objects. A later PUT goes on numbering.",
            parameters=[_IF_MATCH, _IF_NONE_MATCH],
            answers={204: answer("The name is tombstoned")},
            refused=[
                errors.InvalidNameError,
                errors.ArtifactNotFoundError,
                errors.PreconditionFailedError,
                *refusals.WRITING,
            ],
        ),
    }
}

SCHEMAS: Json = {
    "StoredArtifact": record(
        "A file's answer: the record, and whether its object is new.",
        {**ARTIFACT, "created": CREATED},
        example={**ARTIFACT_EXAMPLE, "created": True},
    )
}
