"""A disk that forgets all it may: what a power cut can leave, by the letter of fsync(2).

Theory of operation. The preloaded library has written down every call of a run. They are done again here, on a tree of
inodes in memory, each of which has what its process sees and what is durable: of a file the bytes as of its last sync,
of a directory the names as of its own. A file system may keep more than that, and most do, which hides a sync that is
missing; so the state after each call is made into real directories in several variants, from the least that is
promised to all, with whatever lies between chosen by a seeded die. A name and the bytes under it come and go apart.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path

_HEADER = struct.Struct("=IIQQQ")


class Operation(IntEnum):
    """As in shim.c."""

    CREATE = 1
    UNNAMED = 2
    TRUNCATE = 3
    WRITE = 4
    EXTEND = 5
    SYNC = 6
    LINK = 7
    RENAME = 8
    UNLINK = 9
    MKDIR = 10
    RMDIR = 11
    NOTHING = 12
    LOST = 13


class Variant(StrEnum):
    """How much of what was not synced is kept."""

    LEAST = "least"  # nothing
    NAMES = "names"  # all names, no bytes
    BYTES = "bytes"  # all bytes, no names
    LAST = "last"  # of each directory the last change of its names, without those before it; no bytes
    SOME = "some"  # of each name and each write as the die falls


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a run, which succeeded."""

    number: int  # among all calls, from 1
    operation: Operation
    ino: int
    offset: int
    data: bytes


@dataclass(slots=True, eq=False)
class File:
    """A file's bytes, and what was done to it since they were durable."""

    durable: bytearray = field(default_factory=bytearray)
    since: list[Call] = field(default_factory=list)

    def content(self, kept: list[bool] | None = None) -> bytes:
        """The bytes with all changes, or with those that are kept."""
        data = bytearray(self.durable)
        for number, call in enumerate(self.since):
            if kept is None or kept[number]:
                _change(data, call)
        return bytes(data)

    def sync(self) -> None:
        for call in self.since:
            _change(self.durable, call)
        self.since.clear()

    def lose(self) -> None:
        """Its sync failed: the system may take its pages for clean, and drop them."""
        self.since.clear()


@dataclass(slots=True, eq=False)
class Directory:
    """The names in a directory, and the changes since they were durable."""

    names: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    since: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, changes: dict[str, Node | None]) -> None:
        _rename(self.names, changes)
        self.since.append(changes)

    def sync(self) -> None:
        self.durable = dict(self.names)
        self.since.clear()

    def lose(self) -> None:
        """Its sync failed. Names are in the journal, and a later sync may still bring them out."""


type Node = File | Directory
#: Paths with the bytes of a file, or None for a directory; a directory before what is in it.
type Left = dict[str, bytes | None]


def _change(data: bytearray, call: Call) -> None:
    match call.operation:
        case Operation.WRITE:
            _extend(data, call.offset)
            data[call.offset : call.offset + len(call.data)] = call.data
        case Operation.TRUNCATE:
            del data[call.offset :]
            _extend(data, call.offset)
        case Operation.EXTEND:
            _extend(data, call.offset)
        case _:
            raise ValueError(call)


def _extend(data: bytearray, size: int) -> None:
    if len(data) < size:
        data.extend(bytes(size - len(data)))


def _rename(names: dict[str, Node], changes: dict[str, Node | None]) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def read_calls(record: Path) -> list[Call]:
    """The calls of a run, in order; the last one may have been cut off."""
    data, calls, place = record.read_bytes(), [], 0
    while place + _HEADER.size <= len(data):
        length, operation, number, ino, offset = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        calls.append(Call(number, Operation(operation), ino, offset, data[place : place + length]))
        place += length
    return calls


class Disk:
    """A volume at `mount`; what lies there now is durable."""

    def __init__(self, mount: Path) -> None:
        self._mount = mount.resolve()
        self._inodes: dict[int, Node] = {}
        self.top = self._load(self._mount)

    def _load(self, path: Path) -> Directory:
        directory = Directory()
        self._inodes[path.stat().st_ino] = directory
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                node: Node = self._load(Path(entry.path))
            else:
                node = File(bytearray(Path(entry.path).read_bytes()))
                self._inodes[entry.inode()] = node
            directory.names[entry.name] = node
        directory.sync()
        return directory

    # --- calls ------------------------------------------------------------------------------------------------------

    def apply(self, call: Call) -> None:
        """Do a call again."""
        match call.operation:
            case Operation.CREATE:
                self._new(call, File())
            case Operation.MKDIR:
                self._new(call, Directory())
            case Operation.UNNAMED:
                self._inodes[call.ino] = File()
            case Operation.WRITE | Operation.TRUNCATE | Operation.EXTEND:
                node = self._inodes[call.ino]
                assert isinstance(node, File)
                node.since.append(call)
            case Operation.SYNC:
                self._inodes[call.ino].sync()
            case Operation.LOST:
                self._inodes[call.ino].lose()
            case Operation.LINK:
                directory, name = self._place(call.data)
                directory.change({name: self._inodes[call.ino]})
            case Operation.UNLINK | Operation.RMDIR:
                directory, name = self._place(call.data)
                directory.change({name: None})
            case Operation.RENAME:
                old, _, new = call.data.partition(b"\0")
                self._rename(*self._place(old), *self._place(new))
            case Operation.NOTHING:
                pass

    def _new(self, call: Call, node: Node) -> None:
        self._inodes[call.ino] = node
        directory, name = self._place(call.data)
        directory.change({name: node})

    def _rename(self, source: Directory, old: str, target: Directory, new: str) -> None:
        node = source.names[old]
        if source is target:
            source.change({old: None, new: node})
        else:
            target.change({new: node})
            source.change({old: None})

    def _place(self, path: bytes) -> tuple[Directory, str]:
        parts = Path(os.fsdecode(path)).relative_to(self._mount).parts
        directory = self.top
        for part in parts[:-1]:
            inner = directory.names[part]
            assert isinstance(inner, Directory)
            directory = inner
        return directory, parts[-1]

    # --- after a cut ------------------------------------------------------------------------------------------------

    def left(self, variant: Variant, dice: random.Random) -> Left:
        """What a power cut may leave."""
        left: Left = {}
        _leave(self.top, "", variant, dice, left)
        return left


def _leave(directory: Directory, above: str, variant: Variant, dice: random.Random, left: Left) -> None:
    for name, node in _names_left(directory, variant, dice).items():
        path = f"{above}{name}"
        if isinstance(node, Directory):
            left[path] = None
            _leave(node, f"{path}/", variant, dice, left)
        else:
            left[path] = _bytes_left(node, variant, dice)


def lay_out(left: Left, target: Path) -> None:
    """Make what was left in the empty directory `target`."""
    for path, data in left.items():
        if data is None:
            (target / path).mkdir()
        else:
            (target / path).write_bytes(data)


def digest(left: Left, also: str) -> bytes:
    """What tells it, and a text beside it, from all others."""
    hasher = hashlib.sha256(also.encode())
    for path, data in left.items():
        hasher.update(f"\n{path}\n{-1 if data is None else len(data)}\n".encode())
        hasher.update(data or b"")
    return hasher.digest()


def _names_left(directory: Directory, variant: Variant, dice: random.Random) -> dict[str, Node]:
    match variant:
        case Variant.LEAST | Variant.BYTES:
            return directory.durable
        case Variant.NAMES:
            return directory.names
        case Variant.LAST:
            names = dict(directory.durable)
            _rename(names, directory.since[-1] if directory.since else {})
            return names
        case Variant.SOME:
            names = dict(directory.durable)
            for changes in directory.since:
                if dice.random() < 0.5:
                    _rename(names, changes)
            return names


def _bytes_left(file: File, variant: Variant, dice: random.Random) -> bytes:
    match variant:
        case Variant.LEAST | Variant.NAMES | Variant.LAST:
            return bytes(file.durable)
        case Variant.BYTES:
            return file.content()
        case Variant.SOME:
            return file.content([dice.random() < 0.5 for _ in file.since])


def states(disk: Disk, calls: list[Call]) -> Iterator[tuple[int, int]]:
    """Do the calls again, and stop before the first and after each.

    Gives the numbers of the first and of the last call, made or failed, after which the disk is like that.
    """
    numbers = [0, *(call.number for call in calls), 10**9]
    for place, number in enumerate(numbers[:-1]):
        if place:
            disk.apply(calls[place - 1])
        yield number, numbers[place + 1] - 1
