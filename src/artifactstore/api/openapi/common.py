"""Components that several resources share: digests, fields of requests and answers."""

from __future__ import annotations

from artifactstore.api import queries
from artifactstore.api.fields import EVERY_ANSWER, REQUEST_ID
from artifactstore.api.openapi.parts import (
    Json,
    field,
    flag,
    parameter,
    query,
    record,
    schema,
    text,
    whole,
)
from artifactstore.domain import names

DIGEST = "^(blake3|sha256):[0-9A-Fa-f]{64}$"
#: Of an idempotency key: visible ASCII without `"`, `,` and `\`, or a quoted string.
KEY = r'^([!#-+\--\[\]-~]{1,255}|"([!#-\[\]-~]|\\["\\]){1,255}")$'
BLAKE3_TAG = '^"blake3:[0-9a-f]{64}"$'
NAMESPACE = "^[a-z0-9][a-z0-9._-]{0,63}$"
WORD = "^[a-z0-9][a-z0-9._/-]{0,63}$"
LABEL_KEY = "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
#: `key`, or `key=value`
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}(=[^\x00-\x1f\x7f-\x9f]{0,64})?$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
PREFIX = r"^[^\x00-\x1f\x7f-\x9f]*$"
NAME = r"^(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f-\x9f]+(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f-\x9f]+)*$"

B3_EXAMPLE = "blake3:" + "6b1b5e3d" * 8
SHA_EXAMPLE = "sha256:" + "0f4a9c27" * 8
UUID_EXAMPLE = "019a2c3e-7b51-7c04-9d1f-52c6a0b7e811"
TIME_EXAMPLE = "2026-01-31T23:59:58.123456Z"

IDENTITY: Json = {
    "blake3": schema("Blake3Digest"),
    "sha256": schema("Sha256Digest"),
    "size_bytes": whole("The length of the content."),
}
IDENTITY_EXAMPLE: Json = {"blake3": B3_EXAMPLE, "sha256": SHA_EXAMPLE, "size_bytes": 16}
CREATED = flag("The object is new to the registry.")
TIME = text("UTC, with microseconds.", format="date-time", examples=[TIME_EXAMPLE])
CURSOR = text("The `cursor` of the following page; null at the end, and only there.")

SCHEMAS: Json = {
    "Digest": text("Either digest of an object: both address it.", pattern=DIGEST, examples=[B3_EXAMPLE, SHA_EXAMPLE]),
    "Blake3Digest": text("A BLAKE3 digest.", pattern="^blake3:[0-9a-f]{64}$", examples=[B3_EXAMPLE]),
    "Sha256Digest": text("A SHA-256 digest.", pattern="^sha256:[0-9a-f]{64}$", examples=[SHA_EXAMPLE]),
    "Namespace": text("A namespace.", pattern=NAMESPACE, examples=[names.DEFAULT_NAMESPACE]),
    "Name": text(
        "A name: segments between `/`, at most 1,024 bytes of UTF-8, not normalised. No segment is empty, `.` or `..`.",
        pattern=NAME,
        maxLength=names.MAX_NAME_BYTES,
        examples=["reports/today.txt"],
    ),
    "Word": text("A kind, or the name of a retention class.", pattern=WORD, examples=["report"]),
    "UUID": text("A UUID.", format="uuid", examples=[UUID_EXAMPLE]),
    "StoredObject": record(
        "An upload's answer.", {**IDENTITY, "created": CREATED}, example={**IDENTITY_EXAMPLE, "created": True}
    ),
}

PARAMETERS: Json = {
    "limit": query(
        "limit",
        "The most items of the page.",
        {"type": "integer", "minimum": 1, "maximum": queries.MAX_LIMIT, "default": queries.DEFAULT_LIMIT},
        example=10,
    ),
    "cursor": query("cursor", "The `next` of the page before. It belongs to its query.", {"type": "string"}),
    "digest": parameter("path", "digest", "Either digest of the object.", schema("Digest"), example=B3_EXAMPLE),
    "Range": field(
        "Range",
        "One range or several, at most 64. One that is malformed, backwards or in another unit is ignored.",
        example="bytes=0-1023",
    ),
    "If-Range": field("If-Range", "A strong entity tag: with another one, or a date, the whole is sent."),
    "If-Match": field("If-Match", "Entity tags, or `*`: 412 unless the content has one of them."),
    "If-None-Match": field(
        "If-None-Match",
        "Entity tags, or `*`: 304 without content when the content has one of them.",
    ),
    "Repr-Digest": field(
        "Repr-Digest",
        "Digests that the body must have. `sha-256` is checked; other algorithms are ignored.",
        example="sha-256=:aEFcYrVGxJ1R7n7CRLS+WxEKRPp3Ep6cFDCE/VbhqKY=:",
    ),
    "Content-Digest": field("Content-Digest", "The same as `Repr-Digest`, and checked as well."),
    "Content-Encoding": field(
        "Content-Encoding",
        "Bytes in a coding are refused: an object is what its digest is of.",
        {"type": "string", "pattern": "^(identity)?$"},
    ),
    "Idempotency-Key": field(
        "Idempotency-Key",
        "A name of the client's own for this request, such as a UUID, once. The same request, sent again with the same "
        "key, is answered as it was the first time, and nothing is done twice. A refused request uses no key up.",
        {"type": "string", "pattern": KEY},
        example='"019a2c3e-7b51-7c04-9d1f-52c6a0b7e811"',
    ),
    "Expect": field(
        "Expect",
        "What can be refused is refused before the body is sent.",
        {"type": "string", "pattern": "^(100-continue)?$"},
    ),
}
UPLOAD = ("Expect", "Repr-Digest", "Content-Digest", "Content-Encoding")
KEYED_UPLOAD = ("Idempotency-Key", *UPLOAD)


def _header(description: str, rules: Json | None = None, *, always: bool = True) -> Json:
    return {"description": description, "required": always, "schema": rules or {"type": "string"}}


HEADERS: Json = {
    **{name: _header("On every answer.", {"const": value}) for name, value in EVERY_ANSWER.items()},
    REQUEST_ID: _header(
        "The request's own, or one that was made for it; not where the connection itself is refused.",
        {"type": "string", "pattern": "^[!-~]{1,128}$"},
    ),
    "Location": _header("Where it is found.", {"type": "string", "pattern": "^/v1/"}),
    "ETag": _header(
        "The content's BLAKE3 digest: strong, the same under every address.", {"type": "string", "pattern": BLAKE3_TAG}
    ),
    "RevisionETag": _header("The record's revision.", {"type": "string", "pattern": '^"[1-9][0-9]*"$'}),
    "Repr-Digest": _header(
        "The SHA-256 digest of the whole content.", {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"}
    ),
    "Accept-Ranges": _header("Ranges are answered.", {"const": "bytes"}),
    "Content-Range": _header("Which bytes these are, of how many; not on several ranges.", always=False),
    "UnsatisfiedRange": _header("How many bytes there are.", {"type": "string", "pattern": r"^bytes \*/[0-9]+$"}),
    "Content-Disposition": _header(
        "`attachment`, with the last segment of the name.", {"type": "string", "pattern": "^attachment"}
    ),
    "Content-Location": _header(
        "Where these bytes stay when the name moves on.",
        {"type": "string", "pattern": "^/v1/artifacts/[0-9a-f-]{36}/content$"},
    ),
    "Cache-Control": _header("A cache asks before it uses what it has.", {"const": "no-cache"}),
    "Content-Security-Policy": _header("A stored page cannot act.", {"const": "sandbox; default-src 'none'"}),
    "Cross-Origin-Resource-Policy": _header("Nor be embedded elsewhere.", {"const": "same-origin"}),
    "Idempotency-Replayed": _header(
        "`true` on an answer that was given before, to the same request with the same `Idempotency-Key`.",
        {"const": "true"},
        always=False,
    ),
    "Link": _header('The following page, as `rel="next"`; none at the end.', always=False),
    "Allow": _header("The methods that the address takes."),
    "WWW-Authenticate": _header("How to say who asks.", {"const": "Bearer"}),
}
