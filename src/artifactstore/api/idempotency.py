"""`Idempotency-Key`: a request that is sent again is answered as it was the first time, and nothing is done twice.

The answer is kept by the transaction that records what the request did (`registry.answers`); here the key is read, a
request that is still running is told apart, and one that is over is digested, compared and answered from what is kept.
A request is the same if its method, target, the fields of `_MEANT` and the bytes of its body are.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from aiohttp import hdrs, web
from multidict import istr

from artifactstore.api import uploads
from artifactstore.api.fields import single
from artifactstore.api.keys import store_of
from artifactstore.api.problems import problem_of
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import DigestMismatchError, InvalidInputError, RequestInProgressError
from artifactstore.domain.once import MAX_KEY_LENGTH, AlreadyAnsweredError, KeptAnswer, Once, fingerprint, reused
from artifactstore.hashing import DualHasher, dual_digest

KEY = istr("Idempotency-Key")
#: On an answer that was given before.
REPLAYED = "Idempotency-Replayed"
#: What a client whose request is still running is told to wait, in seconds.
_RETRY_AFTER = "1"
#: The fields, besides the body, that say what a request means.
_MEANT = (
    *(hdrs.CONTENT_TYPE, hdrs.IF_MATCH, hdrs.IF_NONE_MATCH, "Artifact-Namespace"),
    *("Artifact-Kind", "Artifact-Label", "Artifact-Retention", "Artifact-Provenance"),
)
#: The fields of an answer that are kept with it.
_KEPT = (hdrs.CONTENT_TYPE, hdrs.LOCATION, hdrs.ETAG)
#: Visible ASCII without `"`, `,` and `\`: what a proxy makes of two fields is none.
_BARE = re.compile(r"[!#-+\--\[\]-~]{1,255}")
#: A string of RFC 9651 without spaces.
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\]){1,255})"')
_INLINE_BYTES = 64 * 1024  # a buffer of at most so many is digested without a thread


class KeyedRequest:
    """A request that names a key. `body` is set by whoever reads a body into memory; the store sees to others."""

    def __init__(self, key: str, asked: bytes) -> None:
        self.key = key
        self.asked = asked
        self.body: ObjectIdentity | None = None

    def read(self, body: bytes) -> None:
        """Take note of the whole body."""
        self.body = _identity(dual_digest(body), len(body))

    def once[T](self, answer: Callable[[T], web.Response]) -> Once[T]:
        """What the store is told; `answer` makes the answer, of the result alone."""
        return Once(self.key, self.asked, lambda result, body: _kept(answer(result), self.asked, body), self.body)


type KeyedHandler = Callable[[web.Request, KeyedRequest | None], Awaitable[web.StreamResponse]]

#: The requests that are running, by actor and key.
RUNNING: web.AppKey[set[tuple[str, str]]] = web.AppKey("running", set)


def once[T](keyed: KeyedRequest | None, answer: Callable[[T], web.Response]) -> Once[T] | None:
    """What the store is told of a request that may name a key."""
    return None if keyed is None else keyed.once(answer)


def keyed(handler: KeyedHandler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler whose requests may name a key."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if KEY not in request.headers:
            return await handler(request, None)
        return await _handle_once(request, handler)

    return handle


async def _handle_once(request: web.Request, handler: KeyedHandler) -> web.StreamResponse:
    key = parse_key(single(request, KEY, InvalidInputError) or "")
    if (token := store_of(request).caller.token) is not None:
        key = f"{token.id}/{key}"  # an actor's name may be that of several tokens
    place, running = (store_of(request).caller.actor, key), request.app[RUNNING]
    if place in running:
        answer = problem_of(RequestInProgressError("a request with this key is not over yet; send it again to learn"))
        answer.headers[hdrs.RETRY_AFTER] = _RETRY_AFTER
        return answer
    running.add(place)  # until what it does is committed or refused, whoever is cancelled
    try:
        asked = _asked(request)
        kept = await store_of(request).kept_answer(key)
        if kept is not None:
            return await _repeated(request, asked, kept)
        return await handler(request, KeyedRequest(key, asked))
    except AlreadyAnsweredError as repeated:
        return _answer(json.loads(repeated.answer))
    finally:
        running.discard(place)


def parse_key(value: str) -> str:
    """A key, bare or as a quoted string, which is the same; InvalidInputError."""
    if _BARE.fullmatch(value):
        return value
    if (quoted := _QUOTED.fullmatch(value)) is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    raise InvalidInputError(
        f"{KEY} is 1 to {MAX_KEY_LENGTH} visible ASCII characters, bare or between double quotes", field=str(KEY)
    )


def _asked(request: web.Request) -> bytes:
    """The digest of all of a request but its body."""
    fields = [(name, request.headers.getall(name)) for name in _MEANT if name in request.headers]
    return sha256(json.dumps([request.method, request.raw_path, fields]).encode()).digest()


def _kept(answer: web.Response, asked: bytes, body: ObjectIdentity) -> bytes:
    """An answer as it is kept, with what refuses another request before its body has come."""
    document = {
        "status": answer.status,
        "headers": {name: answer.headers[name] for name in _KEPT if name in answer.headers},
        "body": answer.text,
        "asked": asked.hex(),
        "size_bytes": body.size_bytes,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _answer(kept: dict[str, Any]) -> web.Response:
    return web.Response(
        status=kept["status"], body=kept["body"].encode(), headers={**kept["headers"], REPLAYED: "true"}
    )


async def _repeated(request: web.Request, asked: bytes, kept: KeptAnswer) -> web.Response:
    """The answer that was given before, if this is the same request; IdempotencyKeyReusedError."""
    uploads.check_codings(request)
    announced = uploads.announced(request)
    document = json.loads(kept.answer)
    size_bytes: int = document["size_bytes"]
    if document["asked"] != asked.hex() or request.content_length not in (None, size_bytes):
        raise reused()
    body = await _received(request, size_bytes)
    for digest in announced:
        if not body.matches(digest):
            raise DigestMismatchError(f"{digest} was announced; the bytes received are {body.sha256}")
    if fingerprint(asked, body) != kept.fingerprint:
        raise reused()
    return _answer(document)


async def _received(request: web.Request, size_bytes: int) -> ObjectIdentity:
    """What the body is, which is kept nowhere."""
    hasher = DualHasher()
    async for chunk in uploads.body_of(request):
        if hasher.length + len(chunk) > size_bytes:
            raise reused()
        if len(chunk) <= _INLINE_BYTES:
            hasher.update(chunk)
        else:
            await asyncio.to_thread(hasher.update, chunk)
    return _identity(hasher.digests(), hasher.length)


def _identity(digests: Any, size_bytes: int) -> ObjectIdentity:
    return ObjectIdentity(Digest.blake3(digests.blake3), Digest.sha256(digests.sha256), size_bytes)
