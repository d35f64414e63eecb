"""Names and metadata as callers write them, and the rules they must keep.

Every function returns its argument in the form that is stored, or raises InvalidNameError / InvalidMetadataError.
Names are not normalised: two spellings that differ in bytes are two names.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from artifactstore.domain.bounded_json import MAX_DEPTH, depth
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidDigestError, InvalidMetadataError, InvalidNameError

DEFAULT_NAMESPACE = "default"
DEFAULT_MEDIA_TYPE = "application/octet-stream"
MAX_NAME_BYTES = 1024
MAX_ACTOR_BYTES = 256
MAX_LABELS = 64
MAX_LABEL_VALUE_BYTES = 256
MAX_MEDIA_TYPE_CHARACTERS = 255
MAX_PROVENANCE_BYTES = 65536

_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_WORD = re.compile(r"[a-z0-9][a-z0-9._/-]{0,63}\Z")
_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")
# RFC 9110, 8.3.1: type "/" subtype, then parameters of token=token or token="quoted"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a grammar's token, no secret
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*"'
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))*\Z")


def actor_name(text: str) -> str:
    """Who acts, as events name it: 1 to 256 bytes of UTF-8 without control characters. What is not so is replaced.

    Nothing is refused: an account's odd name is no reason to record nothing of what it does.
    """
    plain = "".join("\ufffd" if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)
    return plain.encode()[:MAX_ACTOR_BYTES].decode(errors="ignore") or "unknown"


def is_plain(text: str) -> bool:
    """Whether text is UTF-8 without control characters."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def check_namespace(text: str) -> str:
    """A namespace: `[a-z0-9][a-z0-9._-]{0,63}`."""
    if not _NAMESPACE.match(text):
        raise InvalidNameError(
            "a namespace is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit", field="namespace"
        )
    return text


def check_name(text: str) -> str:
    """An artifact's name: `/`-separated segments, at most 1,024 bytes of UTF-8, no control characters."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidNameError("a name is UTF-8", field="name") from None
    if not 0 < size <= MAX_NAME_BYTES:
        raise InvalidNameError(f"a name has 1 to {MAX_NAME_BYTES} bytes", field="name")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidNameError("a name has no control characters", field="name")
    if any(segment in ("", ".", "..") for segment in text.split("/")):
        raise InvalidNameError("a name has no leading or trailing '/', and no empty, '.' or '..' segment", field="name")
    return text


def check_name_prefix(text: str) -> str:
    """What a name may begin with: as a name, but it may end in the middle of one."""
    if len(text.encode(errors="replace")) > MAX_NAME_BYTES or not is_plain(text):
        raise InvalidNameError(
            f"a name prefix has at most {MAX_NAME_BYTES} bytes and no control characters", field="name_prefix"
        )
    return text


def check_search(namespace: str | None, name: str | None, name_prefix: str | None) -> None:
    """The names that a search is for; those that are None are not asked for."""
    if namespace is not None:
        check_namespace(namespace)
    if name is not None:
        check_name(name)
    if name_prefix is not None:
        check_name_prefix(name_prefix)


def check_kind(text: str) -> str:
    """A kind, such as `report` or `evidence/log`: 1 to 64 of a-z, 0-9, '.', '_', '/', '-'."""
    if not _WORD.match(text):
        raise InvalidMetadataError(
            "a kind is 1 to 64 of a-z, 0-9, '.', '_', '/' and '-', and begins with a letter or digit", field="kind"
        )
    return text


def check_retention(text: str) -> str:
    """The name of a retention class; the same form as a kind."""
    if not _WORD.match(text):
        raise InvalidMetadataError(
            "a retention class is 1 to 64 of a-z, 0-9, '.', '_', '/' and '-', and begins with a letter or digit",
            field="retention",
        )
    return text


def check_media_type(text: str) -> str:
    """A media type with its parameters, as RFC 9110 writes it; kept as given."""
    if len(text) > MAX_MEDIA_TYPE_CHARACTERS or not _MEDIA_TYPE.match(text):
        raise InvalidMetadataError(
            "a media type is written type/subtype, with parameters after ';'", field="media_type"
        )
    return text


def check_labels(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Labels, sorted by key; a key may stand once."""
    labels: dict[str, str] = {}
    for key, value in pairs:
        if not _LABEL_KEY.match(key):
            raise InvalidMetadataError(
                "a label's key is 1 to 63 of letters, digits, '.', '_', '/' and '-', and begins with a letter or digit",
                field="labels",
            )
        if key in labels:
            raise InvalidMetadataError(f"the label {key} stands twice", field="labels")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidMetadataError(f"the value of label {key} is not UTF-8", field="labels") from None
        if size > MAX_LABEL_VALUE_BYTES or any(unicodedata.category(character) == "Cc" for character in value):
            raise InvalidMetadataError(
                f"a label's value has at most {MAX_LABEL_VALUE_BYTES} bytes and no control characters", field="labels"
            )
        labels[key] = value
    if len(labels) > MAX_LABELS:
        raise InvalidMetadataError(f"an artifact has at most {MAX_LABELS} labels", field="labels")
    return dict(sorted(labels.items()))


def check_label_changes(changes: Mapping[str, str | None]) -> dict[str, str | None]:
    """Labels to set, and with None those to take away; each by the rules of labels, however many."""
    for key, value in changes.items():
        check_labels([(key, value or "")])
    return dict(changes)


def check_provenance(text: str) -> str:
    """Provenance as given: a digest, or a JSON object kept byte for byte."""
    if len(text.encode(errors="replace")) > MAX_PROVENANCE_BYTES:
        raise InvalidMetadataError(f"provenance has at most {MAX_PROVENANCE_BYTES} bytes", field="provenance")
    if not text.lstrip().startswith("{"):
        try:
            return str(Digest.parse(text.strip(), field="provenance"))
        except InvalidDigestError:
            raise InvalidMetadataError("provenance is a JSON object or a digest", field="provenance") from None
    if depth(text) > MAX_DEPTH:
        raise InvalidMetadataError(f"provenance is at most {MAX_DEPTH} levels deep", field="provenance")
    try:
        text.encode()
        json.loads(text, parse_constant=_refuse_constant, parse_int=str)  # int() refuses what has too many digits
    except ValueError:  # UnicodeError and JSONDecodeError are ValueErrors
        raise InvalidMetadataError("provenance is not well-formed JSON", field="provenance") from None
    return text


def parse_provenance(text: str) -> Any:
    """The stored form as JSON would show it: the object, or the digest's text.

    A number that no double holds is shown as its text: most readers of JSON know no infinity. So is the whole, when it
    is not what `check_provenance` takes: a record that is stored can always be shown.
    """
    if not text.lstrip().startswith("{") or depth(text) > MAX_DEPTH:
        return text
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_float, parse_int=_int)
    except ValueError:
        return text


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _int(text: str) -> int | str:
    return int(text) if math.isfinite(float(text)) else text  # at most 309 digits, which int() takes everywhere


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
