"""What an artifact's provenance says it was made from.

Provenance is its author's own JSON and is kept as it was given; of its members, this software reads `inputs`: an array
whose items name a source, as text (`blake3:<hex>`, `sha256:<hex>` or an artifact's id) or as an object with one of the
members `digest` and `artifact`, and whatever else its author wants to say of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidDigestError, InvalidMetadataError
from artifactstore.domain.names import parse_provenance


class InputKind(StrEnum):
    """By what an input is named."""

    ARTIFACT = "artifact"
    BLAKE3 = "blake3"
    SHA256 = "sha256"


@dataclass(frozen=True, slots=True)
class Input:
    """A source: an artifact, by the 16 bytes of its id, or an object, by the 32 bytes of a digest."""

    kind: InputKind
    target: bytes

    def __str__(self) -> str:
        if self.kind is InputKind.ARTIFACT:
            return str(UUID(bytes=self.target))
        return f"{self.kind}:{self.target.hex()}"


def parse_input(text: str) -> Input:
    """The inverse of `str`; ValueError."""
    return _input(text)


def inputs_of(provenance: str | None) -> tuple[Input, ...]:
    """The sources that provenance names, each once. What cannot be read as one is passed over: see `check_inputs`."""
    found: dict[Input, None] = {}
    for _, item in _items(provenance):
        try:
            found[_input(item)] = None
        except ValueError:
            continue
    return tuple(found)


def check_inputs(provenance: str | None) -> None:
    """InvalidMetadataError, with the item's place as its `field`, unless each of the `inputs` can be read."""
    if provenance is None:
        return
    document = parse_provenance(provenance)
    if isinstance(document, dict) and not isinstance(document.get("inputs", []), list):
        raise InvalidMetadataError("inputs is an array", field="provenance.inputs")
    for number, item in _items(provenance):
        try:
            _input(item)
        except ValueError as error:
            raise InvalidMetadataError(str(error), field=f"provenance.inputs[{number}]") from None


def _items(provenance: str | None) -> Iterator[tuple[int, Any]]:
    document = None if provenance is None else parse_provenance(provenance)
    inputs = document.get("inputs") if isinstance(document, dict) else None
    return enumerate(inputs if isinstance(inputs, list) else ())


def _input(item: Any) -> Input:
    """The source that one item names; ValueError."""
    if isinstance(item, dict):
        named = [item[key] for key in ("digest", "artifact") if key in item]
        if len(named) != 1:
            raise ValueError("an input has one of the members digest and artifact")
        item = named[0]
    if not isinstance(item, str):
        raise ValueError("an input is text, or an object with a digest or an artifact")
    if ":" not in item:
        return Input(InputKind.ARTIFACT, _id(item))
    try:
        digest = Digest.parse(item)
    except InvalidDigestError:
        raise ValueError("an input's digest is blake3: or sha256: and 64 hexadecimal digits") from None
    return Input(InputKind(str(digest.algorithm)), digest.value)


def _id(text: str) -> bytes:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise ValueError("an input is a digest or an artifact's id")
    return found.bytes
