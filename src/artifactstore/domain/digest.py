"""Digests: how objects are named.

An object's identity is the pair of its BLAKE3 and SHA-256 digests. `blake3:<64 hex>` is the primary address,
`sha256:<64 hex>` an equal alias. Text forms are lower case; the parser takes upper-case hexadecimal too, since the
value is the same, and prints it in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from artifactstore.domain.errors import InvalidDigestError

DIGEST_BYTES = 32
_TEXT = re.compile(r"(blake3|sha256):([0-9A-Fa-f]{64})\Z")


class Algorithm(StrEnum):
    """The digest functions an object is known by."""

    BLAKE3 = "blake3"
    SHA256 = "sha256"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """One digest: the function's name and its 32 bytes."""

    algorithm: Algorithm
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != DIGEST_BYTES:
            raise InvalidDigestError(f"a {self.algorithm} digest has {DIGEST_BYTES} bytes, not {len(self.value)}")

    @classmethod
    def parse(cls, text: str, *, field: str = "digest") -> Self:
        """Read `blake3:<64 hex>` or `sha256:<64 hex>`; anything else raises InvalidDigestError."""
        match = _TEXT.match(text)
        if match is None:
            raise InvalidDigestError(
                "a digest is written blake3:<64 hexadecimal digits> or sha256:<64 hexadecimal digits>", field=field
            )
        return cls(Algorithm(match[1]), bytes.fromhex(match[2]))

    @classmethod
    def blake3(cls, value: bytes) -> Self:
        """A BLAKE3 digest of these 32 bytes."""
        return cls(Algorithm.BLAKE3, value)

    @classmethod
    def sha256(cls, value: bytes) -> Self:
        """A SHA-256 digest of these 32 bytes."""
        return cls(Algorithm.SHA256, value)

    @property
    def hex(self) -> str:
        """64 lower-case hexadecimal digits."""
        return self.value.hex()

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value.hex()}"


@dataclass(frozen=True, slots=True)
class ObjectIdentity:
    """What an object is: both digests and its size in bytes."""

    blake3: Digest
    sha256: Digest
    size_bytes: int

    def digest(self, algorithm: Algorithm) -> Digest:
        """The digest by that function."""
        return self.blake3 if algorithm is Algorithm.BLAKE3 else self.sha256

    def matches(self, digest: Digest) -> bool:
        """Whether `digest` is one of this object's two."""
        return self.digest(digest.algorithm) == digest
