"""Files in a directory, a zip or a tar archive that a stranger may have made: listed, then read one by one.

Theory of operation. Opening lists the files with the sizes that the container says they have, and notes as findings
what no honest container has: paths that lead elsewhere, links, devices, one path twice. Such entries are not listed
and never read. Nothing is written to a disk. A file's content is given in pieces, never more than its said size; a
compressed file that says another size than it has is an error, so whoever knows the right size looks at the said one
first and is safe from what would grow.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidPackageError
from artifactstore.hashing import DualHasher

#: A package's 10,000 members, its descriptions, and directories.
MAX_ENTRIES = 200_000
READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be, and where."""

    path: str
    problem: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.problem}" if self.path else self.problem)


def printable(text: str) -> str:
    """A stranger's text on one line: what would move a terminal's cursor, or turn the line around, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class FileDigests:
    """What a file's bytes are: both digests and the size, and other digests in hexadecimal."""

    identity: ObjectIdentity
    others: dict[str, str]

    @classmethod
    def of(cls, chunks: Iterable[bytes], others: Iterable[str] = ()) -> Self:
        """Digest the pieces of a file; `others` are names of hashlib."""
        dual = DualHasher()
        hashers = {name: hashlib.new(name, usedforsecurity=False) for name in others}
        for chunk in chunks:
            dual.update(chunk)
            for hasher in hashers.values():
                hasher.update(chunk)
        blake3, sha256 = dual.digests()
        identity = ObjectIdentity(Digest.blake3(blake3), Digest.sha256(sha256), dual.length)
        return cls(identity, {name: hasher.hexdigest() for name, hasher in hashers.items()})


class Container(ABC):
    """An opened container; close it, or use it as a context manager."""

    def __init__(self, progress: Callable[[int], object]) -> None:
        self.sizes: dict[str, int] = {}  # by path, in the container's order
        self.findings: list[Finding] = []
        self._progress = progress

    @abstractmethod
    def _pieces(self, path: str) -> Iterator[bytes]:
        """The content of a listed file; InvalidPackageError if it cannot be read, or is not as long as it says."""

    @abstractmethod
    def close(self) -> None:
        """Give up what is open."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """The content of a listed file in pieces; InvalidPackageError if it cannot be read whole."""
        for piece in self._pieces(path):
            self._progress(len(piece))
            yield piece

    def read(self, path: str, most_bytes: int) -> bytes:
        """A short file as one; InvalidPackageError if it is not there, or says that it is longer."""
        size = self.sizes.get(path)
        if size is None:
            raise InvalidPackageError("is missing", field=path)
        if size > most_bytes:
            raise InvalidPackageError(f"has more than {most_bytes} bytes", field=path)
        return b"".join(self.chunks(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _found(self, path: str, problem: str) -> None:
        self.findings.append(Finding(path, problem))

    def _list(self, path: str, size_bytes: int) -> bool:
        """Put a file on the list, if its path may stand there."""
        if len(self.sizes) >= MAX_ENTRIES:
            raise InvalidPackageError(f"there are more than {MAX_ENTRIES} files")
        problem = path_problem(path)
        if path in self.sizes:
            problem = "is there twice"
        if problem is not None:
            self._found(path, problem)
            return False
        self.sizes[path] = size_bytes
        return True

    def _pass_directory(self, path: str) -> None:
        """A directory is of no account, unless it lies elsewhere."""
        path = path.rstrip("/").removeprefix("./")
        problem = None if path == "." else path_problem(path)
        if problem is not None:
            self._found(path, problem)


def path_problem(path: str) -> str | None:
    """Why a path cannot be one within a container; None if it can."""
    if "\0" in path:
        return "has a NUL in its path"
    if path.startswith("/") or any(segment in ("", ".", "..") for segment in path.split("/")):
        return "is not a relative path without empty, '.' and '..' segments"
    return None


class DirectoryContainer(Container):
    """The files under a directory. Links are not followed."""

    def __init__(self, directory: Path, progress: Callable[[int], object]) -> None:
        super().__init__(progress)
        self._directory = directory
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            with os.scandir(directory / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            for entry in entries:
                path = prefix + entry.name
                if entry.is_symlink():
                    self._found(path, "is a symbolic link")
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                elif entry.is_file(follow_symlinks=False):
                    self._list(path, entry.stat(follow_symlinks=False).st_size)
                else:
                    self._found(path, "is neither a file nor a directory")

    def _pieces(self, path: str) -> Iterator[bytes]:
        left = self.sizes[path]
        try:
            # what was listed may have been replaced since: neither a link nor a pipe is to be opened
            descriptor = os.open(self._directory / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise InvalidPackageError("is no longer a file", field=path)
                while piece := file.read(min(READ_BYTES, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        raise InvalidPackageError("has grown since it was listed", field=path)
                    yield piece
        except OSError as error:
            raise InvalidPackageError(f"cannot be read: {error.strerror}", field=path) from None
        if left:
            raise InvalidPackageError("has become shorter since it was listed", field=path)

    def close(self) -> None:
        """Nothing is open between two files."""


@contextlib.contextmanager
def open_container(path: Path, progress: Callable[[int], object] = lambda size: None) -> Iterator[Container]:
    """A directory, a zip or a tar archive, by what it is and not by its name; InvalidPackageError for anything else.

    `progress` is told of the bytes of contents, piece by piece.
    """
    from artifactstore.manifests.archived import TarContainer, ZipContainer

    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        with DirectoryContainer(path, progress) as container:
            yield container
        return
    if not stat.S_ISREG(mode):  # a pipe would be waited for
        raise InvalidPackageError(f"{path} is neither a file nor a directory")
    with path.open("rb") as file:
        opened = ZipContainer if file.read(4) == b"PK\3\4" else TarContainer
        file.seek(0)
        with opened(path, file, progress) as container:
            yield container
