"""How content is sent, under every address it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.parts import ANY, Json, answer, headers, operation, parameters
from artifactstore.api.openapi.refusals import Refusal
from artifactstore.domain import errors

_READING = ("Range", "If-Range", "If-Match", "If-None-Match")
_ALWAYS = (
    "ETag",
    "Accept-Ranges",
    "Repr-Digest",
    "Content-Disposition",
    "Cache-Control",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
)


def content_operation(
    identifier: str,
    summary: str,
    *,
    refused: Iterable[Refusal],
    media_type: str = ANY,
    located: bool = False,
    description: str | None = None,
) -> Json:
    """A GET of content. `located`: it is read through an artifact, and the answer names it."""
    moved: tuple[str, ...] = ("Content-Location",) if located else ()
    sent: dict[str, Any] = headers(*_ALWAYS, *moved)
    found = operation(
        identifier,
        summary,
        description=description,
        parameters=parameters(*_READING),
        answers={
            200: answer("The whole content", {}, media_type=media_type, headers=sent),
            206: answer(
                "The ranges: one as it is, several as multipart/byteranges",
                {},
                media_type=ANY,
                headers={**sent, **headers("Content-Range")},
            ),
            304: answer("The client has it", headers=headers("ETag", "Cache-Control", *moved)),
        },
        refused=[
            *refused,
            errors.PreconditionFailedError,
            "range-not-satisfiable",
            errors.ObjectDamagedError,
            *refusals.BYTES,
            *refusals.READING,
        ],
    )
    found["responses"]["416"]["headers"] = headers(**{"Content-Range": "UnsatisfiedRange"})
    return found
