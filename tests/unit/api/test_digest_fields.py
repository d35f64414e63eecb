from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.api.digest_fields import announced_digests, repr_digest
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidDigestError


@given(st.binary(min_size=32, max_size=32))
def test_round_trip(value: bytes) -> None:
    digest = Digest.sha256(value)
    assert announced_digests([("Repr-Digest", repr_digest(digest))]) == [digest]
    assert announced_digests([("Repr-Digest", f"sha-512=:AAAA:, {repr_digest(digest)};a=b, md5=x")]) == [digest]


@pytest.mark.parametrize(
    "value",
    [
        "sha-256",
        "sha-256=",
        "sha-256=AAAA",
        "sha-256=:AAAA:",
        "sha-256=::",
        "sha-256:" + "A" * 43 + "=:",
        "sha-256;a=:AAAA:",
        "sha-256=:" + "A" * 43 + ":",
        "sha-256=:é:",
    ],
)
def test_a_malformed_sha256_is_refused(value: str) -> None:
    with pytest.raises(InvalidDigestError) as caught:
        announced_digests([("Content-Digest", value)])
    assert caught.value.field == "Content-Digest"


@pytest.mark.parametrize("value", ["", "sha-512=:x:", "SHA-256=x", "blake3=:AAAA:", ",,", "sha-256-x=:AAAA:"])
def test_other_members_are_ignored(value: str) -> None:
    assert announced_digests([("Repr-Digest", value)]) == []
