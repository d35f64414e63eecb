"""Problem documents in the description: one schema for each code, made from the tree of errors and `api.problems`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from artifactstore.api import problems
from artifactstore.domain import errors

type Refusal = type[errors.ArtifactStoreError] | str  # an error of the domain, or a code of `problems.PROTOCOL`

#: What any request may be refused with, before it has an operation.
ANY_REQUEST: tuple[Refusal, ...] = (
    "bad-request",
    "uri-too-long",
    "expectation-failed",
    "header-too-large",
    "internal-error",
    "too-many-connections",
)
#: What reading the registry, writing to it, and reading bytes may lead to.
READING: tuple[Refusal, ...] = (errors.RegistryError, errors.LogCorruptError)
WRITING: tuple[Refusal, ...] = (*READING, errors.OutcomeUnknownError, errors.StorageFullError)
BYTES: tuple[Refusal, ...] = (errors.StorageError, errors.UnreadableCopyError)
#: What any body may be refused with; an upload; a JSON document.
BODY: tuple[Refusal, ...] = (
    errors.InvalidDigestError,
    errors.IncompleteBodyError,
    "framing-too-large",
    "request-timeout",
    errors.ObjectTooLargeError,
    errors.UnsupportedEncodingError,
    errors.DigestMismatchError,
    "too-many-uploads",
)
UPLOADING: tuple[Refusal, ...] = (*BODY, *BYTES, *WRITING, errors.QuotaExceededError)
#: What a request that may name an idempotency key may be refused with.
KEYED: tuple[Refusal, ...] = (
    errors.InvalidInputError,
    errors.RequestInProgressError,
    errors.IdempotencyKeyReusedError,
)
DOCUMENT: tuple[Refusal, ...] = (errors.InvalidInputError, "unsupported-media-type", *BODY)

#: What a problem document tells besides, where the answer knows it.
_FACTS: Mapping[str, Mapping[str, Any]] = {
    errors.ObjectDamagedError.code: {
        "blake3": {"$ref": "#/components/schemas/Digest"},
        "sha256": {"$ref": "#/components/schemas/Digest"},
        "size_bytes": {"type": "integer", "minimum": 0},
    }
}


def _told(refusal: Refusal) -> tuple[str, HTTPStatus, str]:
    """Code, status and meaning."""
    if isinstance(refusal, str):
        return refusal, *problems.PROTOCOL[refusal]
    return refusal.code, problems.status_of(refusal), inspect.cleandoc(refusal.__doc__ or "")


def schema_name(code: str) -> str:
    """The name of a code's schema: `DigestMismatchProblem` for `digest-mismatch`."""
    return "".join(word.capitalize() for word in code.split("-")) + "Problem"


def answers(refused: Iterable[Refusal]) -> dict[int, dict[str, Any]]:
    """The answers that refuse, by status; each is one of the problem documents of its codes."""
    codes: dict[int, list[str]] = {}
    for code, status, _ in map(_told, dict.fromkeys(refused)):
        codes.setdefault(int(status), []).append(code)
    return {status: _answer(status, found) for status, found in codes.items()}


def _answer(status: int, codes: list[str]) -> dict[str, Any]:
    references = [{"$ref": f"#/components/schemas/{schema_name(code)}"} for code in codes]
    return {
        "description": HTTPStatus(status).phrase,
        "content": {problems.MEDIA_TYPE: {"schema": references[0] if len(references) == 1 else {"oneOf": references}}},
    }


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of every problem there can be, by name."""
    known: list[Refusal] = [*problems.PROTOCOL]
    waiting = [errors.ArtifactStoreError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        known.append(error)
    return {schema_name(code): _schema(code, status, meaning) for code, status, meaning in map(_told, known)}


def _schema(code: str, status: HTTPStatus, meaning: str) -> dict[str, Any]:
    kind = problems.TYPE_PREFIX + code
    return {
        "type": "object",
        "description": meaning,
        "properties": {
            "type": {"const": kind},
            "title": {"const": status.phrase},
            "status": {"const": int(status)},
            "detail": {"type": "string", "minLength": 1, "description": "What is at fault, and what to do."},
            "request_id": {"type": "string", "description": "The request's `X-Request-Id`."},
            "field": {"type": "string", "description": "The header, parameter or part at fault, where there is one."},
            **_FACTS.get(code, {}),
        },
        "required": ["type", "title", "status", "detail"],
        "examples": [{"type": kind, "title": status.phrase, "status": int(status), "detail": meaning.splitlines()[0]}],
    }
