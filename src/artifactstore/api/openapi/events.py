"""`/v1/events`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import B3_EXAMPLE, IDENTITY_EXAMPLE, TIME, TIME_EXAMPLE, UUID_EXAMPLE
from artifactstore.api.openapi.parts import (
    Json,
    answer,
    operation,
    page,
    parameters,
    query,
    record,
    schema,
    text,
    whole,
)
from artifactstore.domain import errors

TAG = {"name": "events", "description": "The log: everything that happened, in order."}

_MAX_SEQ = 2**53 - 1
_HASH = "^[0-9a-f]{64}$"

PATHS: Json = {
    "/v1/events": {
        "get": operation(
            "listEvents",
            "The log in order",
            description="A page may be short before the end; an empty one is the end. Repeated with `after` set to "
            "`next`, the request follows the log.",
            parameters=[
                query(
                    "after",
                    "The `seq` of the last event that is known.",
                    {"type": "integer", "minimum": 0, "maximum": _MAX_SEQ, "default": 0},
                    example=0,
                ),
                *parameters("limit"),
            ],
            answers={200: answer("A page", schema("EventPage"))},
            refused=[errors.InvalidQueryError, *refusals.READING],
        )
    }
}

SCHEMAS: Json = {
    "Event": record(
        "One entry of the log.",
        {
            "seq": whole("Its place, from 1, without a gap.", 1),
            "id": schema("UUID"),
            "type": text("What happened.", pattern=r"^[a-z]+\.[a-z]+$"),
            "version": whole("The version of the type.", 1),
            "subject": text("What it happened to."),
            "actor": text("Who did it."),
            "time": TIME,
            "salt": text("The salt of the payload's commitment.", pattern="^[0-9a-f]+$"),
            "leaf": text("The hash of the event: a leaf of RFC 6962.", pattern=_HASH),
            "payload": {"type": "object", "description": "What the type says."},
        },
        example={
            "seq": 1,
            "id": UUID_EXAMPLE,
            "type": "object.stored",
            "version": 1,
            "subject": B3_EXAMPLE,
            "actor": "anonymous",
            "time": TIME_EXAMPLE,
            "salt": "5f" * 16,
            "leaf": "c3" * 32,
            "payload": {
                **IDENTITY_EXAMPLE,
                "backend_id": "localfs",
                "primary_algorithm": "blake3",
                "namespace": "default",
            },
        },
    ),
    "EventPage": page("A page of the log.", "Event", whole("The `after` of the following page.")),
}
