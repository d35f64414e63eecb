"""`/v1/artifacts/{id}/attestations`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import B3_EXAMPLE, KEYED_UPLOAD, TIME, TIME_EXAMPLE, UUID_EXAMPLE
from artifactstore.api.openapi.parts import (
    Json,
    answer,
    document,
    flag,
    headers,
    operation,
    or_null,
    parameter,
    parameters,
    record,
    schema,
    text,
)
from artifactstore.domain import errors
from artifactstore.domain.artifact import SignatureOutcome

TAG = {"name": "attestations", "description": "in-toto Statements about objects, and what is known of their signers."}

_BY_ID = (errors.InvalidInputError, errors.ArtifactNotFoundError)

PATHS: Json = {
    "/v1/artifacts/{id}/attestations": {
        "parameters": [parameter("path", "id", "The artifact's id.", schema("UUID"), example=UUID_EXAMPLE)],
        "get": operation(
            "getAttestations",
            "What is attached to its object",
            answers={200: answer("In the order of attaching", schema("AttestationList"))},
            refused=[*_BY_ID, *refusals.READING],
        ),
        "post": operation(
            "attest",
            "Attach a statement to its object",
            description="The body is kept byte for byte, as an object of the artifact's namespace. One of the "
            "statement's subjects is the object: it has its `sha256` or its `blake3` digest, and no other. A signature "
            "is verified with the keys that the gateway has, and the outcome is recorded.",
            parameters=parameters(*KEYED_UPLOAD),
            body=document("An in-toto Statement v1, or a DSSE envelope of one; at most 1 MiB.", {"type": "object"}),
            answers={
                200: answer(
                    "It was attached with this outcome",
                    schema("StoredAttestation"),
                    headers=headers("Location", "Idempotency-Replayed"),
                ),
                201: answer(
                    "It is attached, and durable",
                    schema("StoredAttestation"),
                    headers=headers("Location", "Idempotency-Replayed"),
                ),
            },
            refused=[
                *_BY_ID,
                errors.InvalidStatementError,
                errors.ObjectNotFoundError,
                *refusals.UPLOADING,
                *refusals.KEYED,
            ],
        ),
    }
}

_ATTESTATION: Json = {
    "blake3": schema("Blake3Digest"),
    "statement": schema("Blake3Digest"),
    "predicate_type": text("The type of the statement's predicate."),
    "signature": {
        "enum": [str(outcome) for outcome in SignatureOutcome],
        "description": "Without a signature; by no key that is known; by the key `key_id`; in the name of the key "
        "`key_id`, which did not make it.",
    },
    "key_id": or_null(text("The key that the outcome is about.")),
    "created_at": TIME,
    "created_by": text("Who attached it."),
}
_EXAMPLE: Json = {
    "blake3": B3_EXAMPLE,
    "statement": B3_EXAMPLE,
    "predicate_type": "https://slsa.dev/provenance/v1",
    "signature": "unsigned",
    "key_id": None,
    "created_at": TIME_EXAMPLE,
    "created_by": "anonymous",
}

SCHEMAS: Json = {
    "Attestation": record("A statement about an object.", _ATTESTATION, example=_EXAMPLE),
    "StoredAttestation": record(
        "The same, and whether it is new.",
        {**_ATTESTATION, "created": flag("It was not attached with this outcome.")},
        example={**_EXAMPLE, "created": True},
    ),
    "AttestationList": record(
        "The statements about an object.", {"items": {"type": "array", "items": schema("Attestation")}}
    ),
}
