"""JSON that strangers write: what is read is read as the standard library reads it, or refused in one way."""

from __future__ import annotations

import base64
import json

import rfc8785

from artifactstore.domain import bounded_json, names
from artifactstore.domain.errors import InvalidInputError, InvalidMetadataError, InvalidPackageError
from artifactstore.domain.errors import InvalidStatementError as Refused
from artifactstore.domain.manifest import Manifest
from artifactstore.domain.provenance import check_inputs, inputs_of, parse_input
from artifactstore.manifests.dsse import Envelope, pre_authentication_encoding, read_attestation
from artifactstore.manifests.statement import Statement

_MOST_BYTES = 2**16


def bounded(data: bytes) -> None:
    """A document that is read is the standard library's, and no deeper than it may be."""
    try:
        node = bounded_json.read(data, InvalidInputError, most_bytes=_MOST_BYTES, what="a document")
    except InvalidInputError:
        return
    assert node.value == json.loads(data.decode())
    assert _depth(node.value) <= bounded_json.MAX_DEPTH
    json.dumps(node.value, ensure_ascii=False, allow_nan=False).encode()


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def provenance(data: bytes) -> None:
    """Provenance that is taken is kept byte for byte, can be shown as JSON, and its inputs can be written again."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        kept = names.check_provenance(text)
    except InvalidMetadataError:
        return
    assert kept in (text, text.strip().lower())
    shown = names.parse_provenance(kept)
    json.dumps(shown, allow_nan=False)
    try:
        check_inputs(kept)
    except InvalidMetadataError:
        inputs_of(kept)  # of a log that was written before: leniently
        return
    for item in inputs_of(kept):
        assert parse_input(str(item)) == item


def manifest(data: bytes) -> None:
    """A manifest that is taken is the one form of its contents."""
    try:
        found = Manifest.parse(data)
    except InvalidPackageError:
        return
    assert found.encoded == data
    assert Manifest.of(found.contents).encoded == data
    assert rfc8785.dumps(json.loads(data)) == data
    spelled = [member.name for member in found.contents.members]
    assert len({name.casefold() for name in spelled}) == len(spelled)


def statement(data: bytes) -> None:
    """A statement that is taken names something, and reads the same in another spelling of its JSON."""
    try:
        found = Statement.parse(data)
    except Refused:
        return
    again = json.dumps(json.loads(data), indent=1, sort_keys=True).encode()
    if len(again) <= _MOST_BYTES:
        assert Statement.parse(again) == found


def envelope(data: bytes) -> None:
    """An envelope's payload is its base64; what was signed has lengths that tell its parts apart."""
    try:
        found = Envelope.parse(data)
    except Refused:
        found = None
    if found is not None:
        text = json.loads(data)["payload"]
        assert found.payload == base64.b64decode(text.replace("-", "+").replace("_", "/"))
        signed = pre_authentication_encoding(found.payload_type, found.payload)
        assert signed.endswith(b" %d " % len(found.payload) + found.payload)
        assert found.verify(()).keyid is None
    try:
        read_attestation(data)
    except Refused:
        return
