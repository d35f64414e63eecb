"""Known answers: BLAKE3's published vectors and NIST's for SHA-256, for the kernel and for the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from artifactstore.hashing import dual_digest, reference

VECTORS = Path(__file__).parent / "vectors"
BLAKE3: list[dict[str, Any]] = json.loads((VECTORS / "blake3.json").read_text())["cases"]
SHA256: dict[str, Any] = json.loads((VECTORS / "sha256.json").read_text())


def test_the_vectors_are_all_there() -> None:
    assert len(BLAKE3) == 35
    assert len(SHA256["short"]) == 65
    assert len(SHA256["monte"]["checkpoints"]) == 100


@pytest.mark.parametrize("case", BLAKE3, ids=lambda case: str(case["input_len"]))
def test_blake3(case: dict[str, Any]) -> None:
    data = bytes(index % 251 for index in range(case["input_len"]))
    assert dual_digest(data).blake3.hex() == case["hash"]
    assert reference.blake3(data).hex() == case["hash"]


@pytest.mark.parametrize("case", SHA256["short"] + SHA256["long"], ids=lambda case: str(len(case["message"]) // 2))
def test_sha256(case: dict[str, Any]) -> None:
    message = bytes.fromhex(case["message"])
    assert dual_digest(message).sha256.hex() == case["digest"]
    assert reference.sha256(message).hex() == case["digest"]


def test_sha256_of_fips_180_4() -> None:
    known = {
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    }
    for message, digest in known.items():
        assert dual_digest(message).sha256.hex() == digest


def test_sha256_monte_carlo() -> None:
    """SHAVS, 6.4: a thousand digests of the three before, a hundred times."""
    seed = bytes.fromhex(SHA256["monte"]["seed"])
    for checkpoint in SHA256["monte"]["checkpoints"]:
        digests = [seed, seed, seed]
        for _ in range(1000):
            digests = [*digests[1:], dual_digest(b"".join(digests)).sha256]
        seed = digests[-1]
        assert seed.hex() == checkpoint
