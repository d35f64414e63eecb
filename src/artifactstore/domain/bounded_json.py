"""JSON from strangers: bounded in size and depth, each name once, and every fault with its place.

`read` gives a Node: a value, where it stands in the document (`subject[3].digest`), and the class of error that its
faults are. The methods of a Node say what it must be; what is not so raises that error, with the place as its field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Never

from artifactstore.domain.errors import InvalidInputError

#: Objects and arrays within each other; our own limit, since that of a JSON library changes with its version.
MAX_DEPTH = 64

# A string of JSON, whole or cut off, or one bracket; the string gives nothing back, so that a scan is linear
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)
# An escape that is half of a pair; the other half may stand beside it, or the backslash be one that is escaped
_HALF_OF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document, its place, and what a fault in it is."""

    value: object
    path: str
    error: type[InvalidInputError]

    def fault(self, detail: str) -> InvalidInputError:
        """The error that says what is wrong with this value."""
        return self.error(detail, field=self.path or None)

    def members(self, required: Collection[str] = (), optional: Collection[str] | None = None) -> dict[str, Node]:
        """An object's members by name: those that are required, and no others than `optional` (None: any)."""
        if not isinstance(self.value, dict):
            raise self.fault("this must be an object")
        found = {name: self._child(value, name) for name, value in self.value.items()}
        for name in required:
            if name not in found:
                raise self._child(None, name).fault(f"{name} is missing")
        if optional is not None:
            for name, node in found.items():
                if name not in required and name not in optional:
                    raise node.fault("there is no such member")
        return found

    def items(self, *, most: int, least: int = 0) -> list[Node]:
        """An array's elements, between `least` and `most` of them."""
        if not isinstance(self.value, list):
            raise self.fault("this must be an array")
        if not least <= len(self.value) <= most:
            raise self.fault(f"this must have {least} to {most} elements, not {len(self.value)}")
        return [Node(value, f"{self.path}[{index}]", self.error) for index, value in enumerate(self.value)]

    def text(self, *, most_bytes: int) -> str:
        """A string of at most so many bytes of UTF-8, not empty."""
        if not isinstance(self.value, str):
            raise self.fault("this must be a string")
        if not 0 < len(self.value.encode()) <= most_bytes:
            raise self.fault(f"this must have 1 to {most_bytes} bytes")
        return self.value

    def constant(self, *values: str) -> str:
        """One of these strings."""
        if self.value not in values:
            raise self.fault(f"this must be {' or '.join(values)}")
        return str(self.value)

    def integer(self) -> int:
        """A whole number from 0 to 2^53 - 1, which every reader of JSON takes exactly."""
        if type(self.value) is not int or not 0 <= self.value < 2**53:
            raise self.fault("this must be a whole number from 0 to 2^53 - 1")
        return self.value

    def checked[T](self, check: Callable[[str], T], *, most_bytes: int = 4096) -> T:
        """What `check` makes of a string; what it refuses is refused here, with this place."""
        try:
            return check(self.text(most_bytes=most_bytes))
        except InvalidInputError as error:
            raise self.fault(error.detail) from None

    def _child(self, value: object, name: str) -> Node:
        shown = name[:64]  # a stranger's: it may be long
        return Node(value, f"{self.path}.{shown}" if self.path else shown, self.error)


def read(data: bytes, error: type[InvalidInputError], *, most_bytes: int, what: str, path: str = "") -> Node:
    """The document that `data` is. `what` names it in errors; `path` is where it stands in another one."""
    root = Node(None, path, error)
    if len(data) > most_bytes:
        raise root.fault(f"{what} has at most {most_bytes} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as fault:
        raise root.fault(f"{what} is not UTF-8 at byte {fault.start}") from None
    if depth(text) > MAX_DEPTH:
        raise root.fault(f"{what} is at most {MAX_DEPTH} levels deep")
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_each_once)
    except json.JSONDecodeError as fault:
        raise root.fault(f"{what} is not JSON at character {fault.pos}: {fault.msg}") from None
    except ValueError as fault:  # one of ours, or int(), which refuses what has too many digits
        raise root.fault(f"{what} is not JSON as it is taken here: {fault}") from None
    if _HALF_OF_A_PAIR.search(text) and not _is_unicode(value):
        raise root.fault(f"{what} has half of a surrogate pair, which is no text")
    return Node(value, path, error)


def depth(text: str) -> int:
    """How deep the brackets outside of strings are nested; no recursion, and no more than a count if it is no JSON."""
    reached = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in ("{", "["):
            reached += 1
            deepest = max(deepest, reached)
        elif match[0] in ("}", "]"):
            reached -= 1
    return deepest


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the member {name[:64]!a} stands twice")
        members[name] = value
    return members


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"no double holds {text[:64]}")
    return value


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no number")
