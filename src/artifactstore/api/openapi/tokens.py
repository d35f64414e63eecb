"""`/v1/tokens`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import TIME, TIME_EXAMPLE, UUID_EXAMPLE
from artifactstore.api.openapi.parts import (
    Json,
    answer,
    closed,
    document,
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
from artifactstore.domain import errors
from artifactstore.domain.token import MAX_NAMESPACES, Scope

TAG = {"name": "tokens", "description": "Who may do what, in which namespaces, until when. All of it needs `admin`."}

_SCOPES: Json = {
    "type": "array",
    "description": "What the token may: `admin` is all of it.",
    "items": {"type": "string", "enum": [scope.value for scope in Scope]},
    "minItems": 1,
    "maxItems": len(Scope),
}
_NAMESPACES: Json = {
    "type": "array",
    "description": "Where it may; `*` is everywhere.",
    "items": {"type": "string", "pattern": r"^([a-z0-9][a-z0-9._-]{0,63}|\*)$"},
    "minItems": 1,
    "maxItems": MAX_NAMESPACES,
}
_NAME = text("Who it is for: what is done with it has the actor `token:NAME`.", minLength=1, maxLength=128)
_RECORD: Json = {
    "id": schema("UUID"),
    "name": _NAME,
    "scopes": _SCOPES,
    "namespaces": _NAMESPACES,
    "created_at": TIME,
    "created_by": text("Who made it."),
    "expires_at": or_null(TIME),
    "revoked_at": or_null(TIME),
}
_EXAMPLE: Json = {
    "id": UUID_EXAMPLE,
    "name": "ci",
    "scopes": ["read", "write"],
    "namespaces": ["reports"],
    "created_at": TIME_EXAMPLE,
    "created_by": "token:admin",
    "expires_at": None,
    "revoked_at": None,
}

PATHS: Json = {
    "/v1/tokens": {
        "get": operation(
            "listTokens",
            "Tokens in the order of their issue",
            description="Revoked and expired ones too. An empty page is the end.",
            parameters=[
                query(
                    "after",
                    "The `next` of the page before.",
                    {"type": "integer", "minimum": 0, "maximum": 2**53 - 1, "default": 0},
                    example=0,
                ),
                *parameters("limit"),
            ],
            answers={200: answer("A page", schema("TokenPage"))},
            refused=[errors.InvalidQueryError, *refusals.READING],
        ),
        "post": operation(
            "issueToken",
            "Make a token",
            description="Its text is in this answer and nowhere else: only a hash of its secret is kept.",
            body=document("What the token is for.", schema("TokenRequest")),
            answers={201: answer("It is in force", schema("IssuedToken"))},
            refused=[
                errors.InvalidMetadataError,
                errors.InvalidNameError,
                errors.InvalidQueryError,
                *refusals.DOCUMENT,
                *refusals.WRITING,
            ],
        ),
    },
    "/v1/tokens/{id}": {
        "parameters": [parameter("path", "id", "The token.", schema("UUID"), example=UUID_EXAMPLE)],
        "delete": operation(
            "revokeToken",
            "Revoke a token",
            description="From this answer on, it opens nothing. Its record stays; one that is revoked stays as it was.",
            answers={200: answer("It is revoked", schema("Token"))},
            refused=[errors.InvalidInputError, errors.TokenNotFoundError, *refusals.WRITING],
        ),
    },
}

SCHEMAS: Json = {
    "Token": record("A token's record: nothing of its secret.", _RECORD, example=_EXAMPLE),
    "IssuedToken": record(
        "A token's record and its text.",
        {**_RECORD, "token": text("What its holder shows.", pattern="^ast_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$")},
    ),
    "TokenRequest": closed(
        record(
            "A token that is wanted.",
            {"name": _NAME, "scopes": _SCOPES, "namespaces": _NAMESPACES, "expires_at": or_null(TIME)},
            optional=("expires_at",),
            example={"name": "ci", "scopes": ["read", "write"], "namespaces": ["reports"]},
        )
    ),
    "TokenPage": page("A page of tokens.", "Token", whole("The `after` of the following page.")),
}
