"""What a package is known by."""

from __future__ import annotations

from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.manifest import Manifest
from artifactstore.hashing import dual_digest


def identity_of(manifest: Manifest) -> ObjectIdentity:
    """The digests and the size of a manifest as an object."""
    blake3, sha256 = dual_digest(manifest.encoded)
    return ObjectIdentity(Digest.blake3(blake3), Digest.sha256(sha256), len(manifest.encoded))
