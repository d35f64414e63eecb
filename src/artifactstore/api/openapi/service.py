"""What is not of a resource: the service, its health, this description."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.parts import Json, answer, flag, operation, or_null, record, schema, text, whole

TAG = {"name": "service", "description": "What answers here, whether it can serve, and this description."}

_STATE = schema("Health")

PATHS: Json = {
    "/": {"get": operation("getService", "What answers here", answers={200: answer("The service", schema("Service"))})},
    "/health": {
        "get": operation(
            "getHealth",
            "The state of the backend, of the log and of the views",
            answers={200: answer("It can serve", _STATE), 503: answer("Something fails", _STATE)},
            refused=refusals.READING,
        )
    },
    "/health/ready": {
        "get": operation(
            "getReadiness",
            "The same, for a probe; also whether it was told to stop",
            answers={200: answer("It can serve", _STATE), 503: answer("Something fails, or it stops", _STATE)},
            refused=refusals.READING,
        )
    },
    "/health/live": {
        "get": operation(
            "getLiveness",
            "The process answers; nothing else is touched",
            answers={200: answer("It lives", schema("Liveness"))},
        )
    },
    "/metrics": {
        "get": operation(
            "getMetrics",
            "Counters and states, for Prometheus",
            answers={200: answer("Prometheus text", {"type": "string"}, media_type="text/plain")},
        )
    },
    "/openapi.json": {
        "get": operation(
            "getDescription",
            "This description",
            answers={200: answer("OpenAPI 3.1", {"type": "object", "required": ["openapi", "info", "paths"]})},
        )
    },
    "/docs": {
        "get": operation(
            "getDocumentation",
            "This description, to read in a browser",
            answers={
                200: answer("A page that needs no script and no network", {"type": "string"}, media_type="text/html")
            },
        )
    },
}

SCHEMAS: Json = {
    "Service": record(
        "What answers here.",
        {
            "service": {"const": "artifact-store"},
            "status": {"const": "ok"},
            "version": text("Its version."),
            "kernel": text("The digest kernel in use."),
        },
        example={"service": "artifact-store", "status": "ok", "version": "0.1.0", "kernel": "portable"},
    ),
    "Liveness": record("It lives.", {"status": {"const": "ok"}}, example={"status": "ok"}),
    "Health": record(
        "The state of the parts.",
        {
            "status": {"type": "string", "enum": ["ok", "failing", "stopping"]},
            "backend": record(
                "Where the bytes are.",
                {
                    "healthy": flag("It can be read and written."),
                    "detail": or_null(text("What is the matter.")),
                    "free_bytes": or_null(whole("The space that is left, where it is known.")),
                },
            ),
            "log": record(
                "The event log.",
                {
                    "healthy": flag("It can be read and appended to."),
                    "head": whole("The last event."),
                    "detail": or_null(text("What is the matter.")),
                },
            ),
            "views": record(
                "The tables that are folded from the log.",
                {"head": whole("The last event that they hold."), "current": flag("They hold the whole log.")},
            ),
        },
        example={
            "status": "ok",
            "backend": {"healthy": True, "detail": None, "free_bytes": 52428800000},
            "log": {"healthy": True, "head": 1207, "detail": None},
            "views": {"head": 1207, "current": True},
        },
    ),
}
