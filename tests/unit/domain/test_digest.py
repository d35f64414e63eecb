from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidDigestError


@given(st.sampled_from(Algorithm), st.binary(min_size=32, max_size=32))
def test_text_round_trip(algorithm: Algorithm, value: bytes) -> None:
    digest = Digest(algorithm, value)
    assert Digest.parse(str(digest)) == digest
    assert Digest.parse(f"{algorithm}:{value.hex().upper()}") == digest


@pytest.mark.parametrize(
    "text",
    [
        *("", "blake3", "blake3:", "blake3:" + "0" * 63, "blake3:" + "0" * 65, "sha256:" + "g" * 64),
        *("SHA256:" + "0" * 64, "md5:" + "0" * 64, "blake3:" + "0" * 64 + "\n", " blake3:" + "0" * 64),
        "blake3:" + "٠" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigestError) as caught:
        Digest.parse(text)
    assert caught.value.field == "digest"


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(InvalidDigestError):
        Digest.blake3(b"short")


def test_an_identity_matches_either_digest_and_no_other() -> None:
    identity = ObjectIdentity(Digest.blake3(b"b" * 32), Digest.sha256(b"s" * 32), 7)
    assert identity.matches(Digest.blake3(b"b" * 32))
    assert identity.matches(Digest.sha256(b"s" * 32))
    assert not identity.matches(Digest.sha256(b"b" * 32))
