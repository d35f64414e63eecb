"""Requests that happen once however often they are sent: each is named by its actor and a key of the actor's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from artifactstore.domain.digest import ObjectIdentity
from artifactstore.domain.errors import IdempotencyKeyReusedError

#: Characters of a key.
MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request that is over was answered. `answer` is in its asker's own form."""

    fingerprint: bytes  # of the request
    answer: bytes
    created_at: str


class AlreadyAnsweredError(Exception):
    """The request was answered before; nothing of it was done again. No fault, so not of the domain's tree."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("the request was answered before")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Once[T]:
    """What is kept of a request, by the transaction that records what it did, so that it is not done again.

    `keep` makes of the request's result, and of its body's digests, the answer that is kept. It runs in the writer's
    thread and must not fail.
    """

    key: str
    asked: bytes  # SHA-256 of all of the request but its body
    keep: Callable[[T, ObjectIdentity], bytes]
    body: ObjectIdentity | None = None  # None until it has come

    def received(self, body: ObjectIdentity) -> Once[T]:
        """The same request, whose body has come."""
        return replace(self, body=body)

    def of[S](self, result: Callable[[S], T]) -> Once[S]:
        """The same request, whose result `result` makes of something else."""
        return Once(self.key, self.asked, lambda given, body: self.keep(result(given), body), self.body)

    def kept(self, result: T, created_at: str) -> KeptAnswer:
        """What is kept of this request."""
        body = self._body()
        return KeptAnswer(fingerprint(self.asked, body), self.keep(result, body), created_at)

    def repeated(self, kept: KeptAnswer) -> AlreadyAnsweredError | IdempotencyKeyReusedError:
        """What this request is, since its key was used before."""
        if fingerprint(self.asked, self._body()) == kept.fingerprint:
            return AlreadyAnsweredError(kept.answer)
        return reused()

    def _body(self) -> ObjectIdentity:
        if self.body is None:
            raise RuntimeError("a request is recorded after its body has come")
        return self.body


def fingerprint(asked: bytes, body: ObjectIdentity) -> bytes:
    """What tells a request from every other: 32 bytes."""
    return sha256(asked + body.blake3.value).digest()


def reused() -> IdempotencyKeyReusedError:
    """The refusal of another request under a key."""
    return IdempotencyKeyReusedError("the key stands for another request: take a new key for a new request")
