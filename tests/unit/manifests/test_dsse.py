from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.artifact import SignatureOutcome
from artifactstore.domain.errors import ConfigurationError, InvalidStatementError
from artifactstore.manifests.dsse import (
    MAX_SIGNATURES,
    Envelope,
    PublicKey,
    Verification,
    pre_authentication_encoding,
    read_attestation,
)
from tests.unit.manifests.test_statement import PROVENANCE

TYPE = "application/vnd.in-toto+json"
PAYLOAD = json.dumps(PROVENANCE).encode()
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
P256 = ec.derive_private_key(7, ec.SECP256R1())
OTHER = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)


def pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return encoded


def sign(key: Any, payload: bytes = PAYLOAD) -> bytes:
    message = pre_authentication_encoding(TYPE, payload)
    signature: bytes = (
        key.sign(message, ec.ECDSA(hashes.SHA256()))
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else key.sign(message)
    )
    return signature


def envelope(*signatures: tuple[str | None, bytes], raw: bytes = PAYLOAD, **members: object) -> bytes:
    return json.dumps(
        {
            "payloadType": TYPE,
            "payload": base64.b64encode(raw).decode(),
            "signatures": [
                {**({} if keyid is None else {"keyid": keyid}), "sig": base64.b64encode(value).decode()}
                for keyid, value in signatures
            ],
            **members,
        }
    ).encode()


KEYS = (PublicKey.load(pem(ED25519), "one"), PublicKey.load(pem(P256), "two"))


def test_the_encoding_that_is_signed_is_that_of_the_specification() -> None:
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pre_authentication_encoding("", b"") == b"DSSEv1 0  0 "


@pytest.mark.parametrize(
    ("signatures", "outcome", "keyid"),
    [
        ([], SignatureOutcome.UNSIGNED, None),
        ([("one", sign(ED25519))], SignatureOutcome.VERIFIED, "one"),
        ([("two", sign(P256))], SignatureOutcome.VERIFIED, "two"),
        ([(None, sign(P256))], SignatureOutcome.VERIFIED, "two"),
        ([("", sign(ED25519))], SignatureOutcome.VERIFIED, "one"),
        ([("another name of it", sign(ED25519))], SignatureOutcome.VERIFIED, "one"),
        ([("stranger", sign(OTHER)), ("two", sign(P256))], SignatureOutcome.VERIFIED, "two"),
        ([("one", sign(OTHER)), ("two", sign(P256))], SignatureOutcome.VERIFIED, "two"),
        ([("stranger", sign(OTHER))], SignatureOutcome.UNVERIFIED, None),
        ([(None, sign(OTHER))], SignatureOutcome.UNVERIFIED, None),
        ([("one", sign(OTHER))], SignatureOutcome.FAILED, "one"),
        ([("one", sign(P256))], SignatureOutcome.FAILED, "one"),
        ([("two", sign(ED25519))], SignatureOutcome.FAILED, "two"),
        ([("one", sign(ED25519, b"{}"))], SignatureOutcome.FAILED, "one"),
        ([("stranger", sign(OTHER)), ("two", b"x")], SignatureOutcome.FAILED, "two"),
    ],
)
def test_what_is_known_of_who_signed(
    signatures: list[tuple[str | None, bytes]], outcome: SignatureOutcome, keyid: str | None
) -> None:
    assert Envelope.parse(envelope(*signatures)).verify(KEYS) == Verification(outcome, keyid)


def test_without_keys_nothing_is_verified() -> None:
    assert Envelope.parse(envelope(("one", sign(ED25519)))).verify(()) == Verification(SignatureOutcome.UNVERIFIED)
    statement, verification = read_attestation(envelope(("one", sign(ED25519))))
    assert (verification.outcome, statement.predicate_type) == (
        SignatureOutcome.UNVERIFIED,
        PROVENANCE["predicateType"],
    )


@given(st.integers(0, len(PAYLOAD) - 1), st.integers(0, 7), st.sampled_from(["payload", "one", "two"]))
def test_no_bit_can_change(index: int, bit: int, where: str) -> None:
    signatures = {"one": bytearray(sign(ED25519)), "two": bytearray(sign(P256))}
    payload = bytearray(PAYLOAD)
    changed = payload if where == "payload" else signatures[where]
    changed[index % len(changed)] ^= 1 << bit
    for name, signature in signatures.items():
        found = Envelope.parse(envelope((name, bytes(signature)), raw=bytes(payload))).verify(KEYS).outcome
        assert found is (SignatureOutcome.FAILED if where in ("payload", name) else SignatureOutcome.VERIFIED)


@given(st.binary(max_size=100))
def test_either_alphabet_is_taken(payload: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(payload + b"\xff\xfe~").decode()
        assert Envelope.parse(envelope(payload=text)).payload == payload + b"\xff\xfe~"


@pytest.mark.parametrize("text", ["", "e30", "e30==", "+-==", "+_8=", "e3 0=", "e30=\n", "é30=", 7])
def test_what_is_no_base64(text: object) -> None:
    for members in ({"payload": text}, {"signatures": [{"sig": text}]}):
        with pytest.raises(InvalidStatementError) as caught:
            Envelope.parse(envelope(**members))
        assert caught.value.field in ("payload", "signatures[0].sig")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"payloadType": "text/plain"}, "payloadType"),
        ({"payload": None}, "payload"),
        ({"signatures": {}}, "signatures"),
        ({"signatures": [{}]}, "signatures[0].sig"),
        ({"signatures": [{"sig": "eA==", "keyid": 7}]}, "signatures[0].keyid"),
        ({"signatures": [{"sig": "eA==", "keyid": "x" * 1025}]}, "signatures[0].keyid"),
        ({"signatures": [{"sig": "eA=="}] * (MAX_SIGNATURES + 1)}, "signatures"),
    ],
)
def test_an_envelope_is_read_strictly(members: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidStatementError) as caught:
        read_attestation(envelope(**members))
    assert caught.value.field == field


def test_a_fault_in_the_payload_is_placed_there() -> None:
    for payload, field in ((b"{", "payload"), (b"{}", "payload._type"), (b"[]", "payload")):
        with pytest.raises(InvalidStatementError) as caught:
            read_attestation(envelope(raw=payload))
        assert caught.value.field == field


def test_a_plain_statement_is_unsigned() -> None:
    statement, verification = read_attestation(PAYLOAD, KEYS)
    assert statement.provenance is not None
    assert verification == Verification(SignatureOutcome.UNSIGNED)


def test_a_key_without_a_name_has_its_digest() -> None:
    der = ED25519.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert PublicKey.load(pem(ED25519)).keyid == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        pem(ec.derive_private_key(7, ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
        P256.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    ],
)
def test_other_keys_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        PublicKey.load(data)
