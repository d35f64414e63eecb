from __future__ import annotations

from hashlib import sha256

import pytest

from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import IdempotencyKeyReusedError
from artifactstore.domain.once import AlreadyAnsweredError, Once


def body(data: bytes) -> ObjectIdentity:
    digest = sha256(data).digest()
    return ObjectIdentity(Digest.blake3(digest), Digest.sha256(digest), len(data))


def request(asked: bytes = b"PUT /a") -> Once[int]:
    return Once("k", sha256(asked).digest(), lambda result, came: f"{result} {came.size_bytes}".encode())


def test_the_same_request_is_told_what_it_was_told() -> None:
    kept = request().received(body(b"abc")).kept(1, "now")
    assert kept.created_at == "now"
    repeated = request().received(body(b"abc")).repeated(kept)
    assert isinstance(repeated, AlreadyAnsweredError)
    assert repeated.answer == b"1 3"


def test_another_body_or_another_question_is_another_request() -> None:
    kept = request().received(body(b"abc")).kept(1, "now")
    for other in (request().received(body(b"abd")), request(b"PUT /b").received(body(b"abc"))):
        assert isinstance(other.repeated(kept), IdempotencyKeyReusedError)


def test_a_result_may_be_made_of_another() -> None:
    kept = request().of(len).received(body(b"")).kept("four", "now")
    assert kept.answer == b"4 0"


def test_a_body_that_has_not_come_cannot_be_kept() -> None:
    with pytest.raises(RuntimeError):
        request().kept(1, "now")
