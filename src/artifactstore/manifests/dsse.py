"""DSSE envelopes: a payload, its type, and signatures over both (https://github.com/secure-systems-lab/dsse, v1.0).

What is signed is the pre-authentication encoding, never JSON. A keyid is a hint that nobody vouches for: a signature is
tried with the key that it names, and if that is none of ours, with every key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from artifactstore.domain import bounded_json
from artifactstore.domain.artifact import SignatureOutcome
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.errors import ConfigurationError, InvalidStatementError
from artifactstore.domain.manifest import MEDIA_TYPE
from artifactstore.manifests.statement import MAX_STATEMENT_BYTES, Statement

MAX_SIGNATURES = 64
_MAX_KEYID_BYTES = 1024
_MAX_SIGNATURE_BYTES = 4096  # of its base64; the longest that verifies here has 72 bytes


@dataclass(frozen=True, slots=True)
class Verification:
    """An outcome, and the configured key that it is about: that which signed, or that which was named and did not."""

    outcome: SignatureOutcome
    keyid: str | None = None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A configured key: Ed25519, or ECDSA over P-256 with SHA-256."""

    keyid: str
    key: Ed25519PublicKey | EllipticCurvePublicKey

    @classmethod
    def load(cls, pem: bytes, keyid: str | None = None) -> Self:
        """Read a PEM public key. Without a keyid it has the SHA-256 of its DER form, in hexadecimal.

        ConfigurationError for what is none, or is of another kind.
        """
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigurationError("this is not a public key in PEM form") from None
        known = isinstance(key, Ed25519PublicKey) or (
            isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        )
        if not known:
            raise ConfigurationError("a key that verifies is Ed25519, or ECDSA over P-256")
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls(keyid or hashlib.sha256(der).hexdigest(), key)  # type: ignore[arg-type]  # one of the two, as seen

    def made(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is this key's, over this message."""
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, and the key that it says it is by."""

    keyid: str | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope whose payload is a statement: the payload's exact bytes, and what was signed over them."""

    payload: bytes
    signatures: tuple[Signature, ...]
    payload_type: str = MEDIA_TYPE

    @classmethod
    def parse(cls, encoded: bytes) -> Self:
        """Read an envelope; InvalidStatementError names the field. The payload is not looked into: see `statement`."""
        what = "an envelope"
        root = bounded_json.read(encoded, InvalidStatementError, most_bytes=MAX_STATEMENT_BYTES, what=what)
        return cls.read(root)

    @classmethod
    def read(cls, root: Node) -> Self:
        """The same from a document that is parsed already."""
        members = root.members(("payloadType", "payload", "signatures"))
        payload_type = members["payloadType"].constant(MEDIA_TYPE)
        payload = _base64(members["payload"], MAX_STATEMENT_BYTES)
        signatures = tuple(_signature(node) for node in members["signatures"].items(most=MAX_SIGNATURES))
        return cls(payload, signatures, payload_type)

    def statement(self) -> Statement:
        """The payload, read; InvalidStatementError if it is no statement, with a field that begins with `payload`."""
        what = "a statement"
        root = bounded_json.read(
            self.payload, InvalidStatementError, most_bytes=MAX_STATEMENT_BYTES, what=what, path="payload"
        )
        return Statement.read(root)

    def verify(self, keys: Sequence[PublicKey]) -> Verification:
        """Whether one of these keys signed the payload."""
        if not self.signatures:
            return Verification(SignatureOutcome.UNSIGNED)
        message = pre_authentication_encoding(self.payload_type, self.payload)
        accused = None
        for signature in self.signatures:
            named = [key for key in keys if key.keyid == signature.keyid]
            for key in named or keys:
                if key.made(signature.value, message):
                    return Verification(SignatureOutcome.VERIFIED, key.keyid)
            accused = accused or next((key.keyid for key in named), None)
        return Verification(SignatureOutcome.UNVERIFIED if accused is None else SignatureOutcome.FAILED, accused)


def read_attestation(encoded: bytes, keys: Sequence[PublicKey] = ()) -> tuple[Statement, Verification]:
    """A statement, plain or in an envelope, and what is known of who signed it."""
    what = "a statement, or an envelope of one,"
    root = bounded_json.read(encoded, InvalidStatementError, most_bytes=MAX_STATEMENT_BYTES, what=what)
    if "payloadType" not in root.members():
        return Statement.read(root), Verification(SignatureOutcome.UNSIGNED)
    envelope = Envelope.read(root)
    return envelope.statement(), envelope.verify(keys)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE: what is signed. Each part has its length in front, so that no two pairs give the same bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signature(node: Node) -> Signature:
    members = node.members(("sig",))
    keyid = members.get("keyid")
    named = keyid is not None and keyid.value not in ("", None)  # many signers leave it empty
    return Signature(
        keyid=members["keyid"].text(most_bytes=_MAX_KEYID_BYTES) if named else None,
        value=_base64(members["sig"], _MAX_SIGNATURE_BYTES),
    )


def _base64(node: Node, most_bytes: int) -> bytes:
    """Either alphabet of RFC 4648, as the specification allows, padded; both in one text are refused."""
    text = node.text(most_bytes=most_bytes)
    url_safe = "-" in text or "_" in text
    try:
        if url_safe and ("+" in text or "/" in text):
            raise ValueError
        return base64.b64decode(text, altchars=b"-_" if url_safe else None, validate=True)
    except ValueError:  # binascii.Error is one
        raise node.fault("this must be base64, in one of its two alphabets") from None
