"""`/v1/objects`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import IDENTITY, IDENTITY_EXAMPLE, KEYED_UPLOAD, UPLOAD
from artifactstore.api.openapi.content import content_operation
from artifactstore.api.openapi.parts import (
    Json,
    answer,
    binary,
    field,
    flag,
    headers,
    operation,
    or_null,
    parameters,
    record,
    schema,
    whole,
)
from artifactstore.domain import errors, names

TAG = {"name": "objects", "description": "Immutable bytes, addressed by either of their digests."}

_NAMESPACE = field(
    "Artifact-Namespace",
    "The namespace that the upload belongs to.",
    {"$ref": "#/components/schemas/Namespace", "default": names.DEFAULT_NAMESPACE},
)
_STORED = {
    200: answer("The registry had the object", schema("StoredObject"), headers=headers("Location", "ETag")),
    201: answer("The object is new, and durable", schema("StoredObject"), headers=headers("Location", "ETag")),
}
_STORED_ONCE = {
    status: {**stored, "headers": {**stored["headers"], **headers("Idempotency-Replayed")}}
    for status, stored in _STORED.items()
}
_BODY = binary("The bytes, with a length or chunked; none is an object of no bytes.")

PATHS: Json = {
    "/v1/objects": {
        "post": operation(
            "storeObject",
            "Store a body",
            description="The answer is sent when the bytes and the event that names them are durable. Uploading what "
            "is stored changes nothing; if the stored copy is missing or damaged, the upload mends it.",
            parameters=[_NAMESPACE, *parameters(*KEYED_UPLOAD)],
            body=_BODY,
            answers=_STORED_ONCE,
            refused=[errors.InvalidNameError, *refusals.UPLOADING, *refusals.KEYED],
        )
    },
    "/v1/objects/{digest}": {
        "parameters": parameters("digest"),
        "get": content_operation(
            "getObject",
            "The content",
            refused=[errors.InvalidDigestError, errors.ObjectNotFoundError],
            media_type=names.DEFAULT_MEDIA_TYPE,
        ),
        "put": operation(
            "putObject",
            "Store a body that has this digest",
            description="A body with another digest is refused, and nothing is stored. With `Expect: 100-continue`, an "
            "object that is there whole is answered 200 without the body.",
            parameters=[_NAMESPACE, *parameters(*UPLOAD)],
            body=_BODY,
            answers=_STORED,
            refused=[errors.InvalidNameError, *refusals.UPLOADING],
        ),
        "delete": operation(
            "deleteObject",
            "Delete an object that nothing refers to",
            answers={204: answer("It is deleted")},
            refused=[
                errors.InvalidDigestError,
                errors.ObjectNotFoundError,
                errors.ObjectInUseError,
                *refusals.BYTES,
                *refusals.WRITING,
            ],
        ),
    },
    "/v1/objects/{digest}/verify": {
        "parameters": parameters("digest"),
        "post": operation(
            "verifyObject",
            "Read the stored copy again, and digest it",
            description="A failure is recorded, and marks the object damaged. With an `Idempotency-Key`, the first "
            "answer is given again: what the copy was then.",
            parameters=parameters("Idempotency-Key"),
            answers={200: answer("What it showed", schema("Verification"), headers=headers("Idempotency-Replayed"))},
            refused=[
                errors.InvalidDigestError,
                errors.ObjectNotFoundError,
                *refusals.BYTES,
                *refusals.WRITING,
                *refusals.KEYED,
            ],
        ),
    },
}

SCHEMAS: Json = {
    "Verification": record(
        "What reading an object again showed.",
        {
            "verified": flag("The stored copy is the object."),
            "reason": {
                "enum": [None, "missing", "unreadable", "digest-mismatch"],
                "description": "Why not; null when it is.",
            },
            **IDENTITY,
            "actual_blake3": or_null(schema("Blake3Digest")),
            "actual_sha256": or_null(schema("Sha256Digest")),
            "actual_size_bytes": or_null(whole("The length that was read.")),
        },
        example={
            "verified": True,
            "reason": None,
            **IDENTITY_EXAMPLE,
            **{f"actual_{name}": value for name, value in IDENTITY_EXAMPLE.items()},
        },
    )
}
