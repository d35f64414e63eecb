"""Packages as bags, and the bags of others (BagIt 1.0, RFC 8493).

Reading a bag names every difference between its manifests and its files. Each file is read once, for all the digests
that any manifest has of it and for our own two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from artifactstore.domain.digest import ObjectIdentity
from artifactstore.domain.errors import InvalidPackageError
from artifactstore.domain.manifest import Manifest
from artifactstore.manifests.archives import Entry
from artifactstore.manifests.containers import Container, FileDigests, Finding, path_problem
from artifactstore.manifests.identity import identity_of

DECLARATION = "bagit.txt"
INFO = "bag-info.txt"
STATEMENT = "package.intoto.json"
PAYLOAD = "data/"
#: All of a manifest is in memory while its bag is read.
MAX_TAG_FILE_BYTES = 64 * 2**20

_DECLARED = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_DECLARATION = re.compile(r"BagIt-Version: (0\.9[3-7]|1\.0)[ \t]*\nTag-File-Character-Encoding: UTF-8[ \t]*\n?\Z")
_MANIFEST = re.compile(r"(tag)?manifest-(md5|sha1|sha224|sha256|sha384|sha512)\.txt\Z")
_LINE = re.compile(r"([0-9A-Fa-f]+)[ \t]+(.+)\Z")
_OXUM = re.compile(r"^Payload-Oxum:[ \t]*([0-9]{1,19})\.([0-9]{1,19})[ \t]*$", re.MULTILINE | re.IGNORECASE)
#: A bag is checked by whatever manifests it has, and one of these must be among those of the payload.
_STRONG = {"sha256", "sha512"}


def entries(manifest: Manifest, base: str) -> list[Entry]:
    """The files of a package's bag under its base directory, descriptions first."""
    members = manifest.contents.members
    size = sum(member.identity.size_bytes for member in members)
    info = f"External-Identifier: {identity_of(manifest).sha256}\nPayload-Oxum: {size}.{len(members)}\n"
    lines = [f"{member.identity.sha256.hex}  {encode_path(PAYLOAD + member.name)}\n" for member in members]
    tags = {
        DECLARATION: _DECLARED,
        INFO: info.encode(),
        "manifest-sha256.txt": "".join(lines).encode(),
        STATEMENT: manifest.encoded,
    }
    listed = [f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in tags.items()]
    tags["tagmanifest-sha256.txt"] = "".join(listed).encode()
    return [
        *(Entry(f"{base}/{path}", data) for path, data in tags.items()),
        *(Entry(f"{base}/{PAYLOAD}{member.name}", member) for member in members),
    ]


def encode_path(path: str) -> str:
    """A path as a manifest has it (RFC 8493, 2.1.3)."""
    return path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(slots=True)
class Bag:
    """What a bag holds, and everything in it that is not as it must be: valid if that is nothing."""

    payload: dict[str, ObjectIdentity] = field(default_factory=dict)  # of what is sound, by its path under data/
    findings: list[Finding] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)  # tag files that a manifest vouches for, or that are one


def read_bag(container: Container, base: str = "", sizes: Mapping[str, int] | None = None) -> Bag:
    """Read the bag in a directory of the container (`base`: "" or a path with a slash at its end), all of it.

    `sizes` are those that payload files must have, by their paths under data/; a file of another size is not read.
    """
    return _Reader(container, base, sizes or {}).read()


type _Listing = dict[str, str]  # a manifest: digests in hexadecimal by path


class _Reader:
    def __init__(self, container: Container, base: str, sizes: Mapping[str, int]) -> None:
        self._container = container
        self._base = base
        self._sizes = sizes
        self._bag = Bag()
        self._tags: dict[str, bytes] = {}  # those that are read for what they say
        self._escaped = True  # whether % is written %25: since version 1.0

    def read(self) -> Bag:
        paths = [path.removeprefix(self._base) for path in self._container.sizes if path.startswith(self._base)]
        if not self._read_declaration():
            return self._bag
        payload: dict[str, _Listing] = {}
        tags: dict[str, _Listing] = {}
        for path in paths:
            match = _MANIFEST.match(path)
            if match is not None:
                (tags if match[1] else payload)[path] = self._listing(path, is_payload=not match[1])
                self._bag.listed.add(path)
        if not {_algorithm(path) for path in payload} & _STRONG:
            self._found("", "there is no manifest of the payload by SHA-256 or SHA-512")
        payload_paths = [path for path in paths if path.startswith(PAYLOAD)]
        self._check_listed(payload, tags, set(paths))
        self._check_complete(payload, payload_paths)
        self._check_oxum(payload_paths)
        for path in paths:
            self._check_file(path, {name: rows[path] for name, rows in {**payload, **tags}.items() if path in rows})
        return self._bag

    def _found(self, path: str, problem: str) -> None:
        self._bag.findings.append(Finding(path, problem))

    def _text(self, path: str) -> str | None:
        """A tag file as text, its lines ended by LF; None, and a finding, if it cannot be had."""
        try:
            self._tags[path] = self._container.read(self._base + path, MAX_TAG_FILE_BYTES)
            return self._tags[path].decode().replace("\r\n", "\n").replace("\r", "\n")
        except InvalidPackageError as error:
            self._found(path, error.detail)
        except UnicodeDecodeError:
            self._found(path, "is not UTF-8")
        return None

    def _read_declaration(self) -> bool:
        text = self._text(DECLARATION)
        match = None if text is None else _DECLARATION.match(text)
        if text is not None and match is None:
            self._found(DECLARATION, "does not declare a bag of version 0.93 to 1.0 in UTF-8")
        self._bag.listed.add(DECLARATION)
        self._escaped = match is not None and match[1] == "1.0"
        return match is not None

    def _listing(self, path: str, *, is_payload: bool) -> _Listing:
        rows: _Listing = {}
        for number, line in enumerate((self._text(path) or "").split("\n"), 1):
            if not line.strip():
                continue
            match = _LINE.match(line)
            listed = self._decode_path(match[2]) if match else ""
            if match is None or path_problem(listed) or listed.startswith(PAYLOAD) is not is_payload:
                self._found(path, f"line {number} is not a digest and a path")
            elif listed in rows:
                self._found(path, f"lists {listed} twice")
            else:
                rows[listed] = match[1].lower()
        return rows

    def _decode_path(self, text: str) -> str:
        codes = "0A|0D|25" if self._escaped else "0A|0D"
        return re.sub(f"%({codes})", lambda match: chr(int(match[1], 16)), text, flags=re.IGNORECASE)

    def _check_listed(self, payload: Mapping[str, _Listing], tags: Mapping[str, _Listing], there: set[str]) -> None:
        missing: dict[str, str] = {}
        for name, rows in {**payload, **tags}.items():
            for path in rows:
                if path not in there:
                    missing.setdefault(path, name)
        for path, name in missing.items():
            self._found(path, f"is missing, and {name} lists it")
        for rows in tags.values():
            self._bag.listed.update(rows)

    def _check_complete(self, payload: Mapping[str, _Listing], paths: list[str]) -> None:
        """Version 1.0 wants each file in each manifest, those before it in one of them."""
        for path in paths:
            without = [name for name, rows in payload.items() if path not in rows]
            if without and (self._escaped or len(without) == len(payload)):
                self._found(path, f"is not listed in {' and '.join(without)}")

    def _check_oxum(self, paths: list[str]) -> None:
        if self._base + INFO not in self._container.sizes:
            return
        size = sum(self._container.sizes[self._base + path] for path in paths)
        for match in _OXUM.finditer(self._text(INFO) or ""):
            if (int(match[1]), int(match[2])) != (size, len(paths)):
                self._found(INFO, f"Payload-Oxum is {match[1]}.{match[2]}, and there is {size}.{len(paths)}")

    def _check_file(self, path: str, expected: Mapping[str, str]) -> None:
        """Read a file that a manifest lists and compare its digests; the manifests' names are the keys."""
        name = path.removeprefix(PAYLOAD) if path.startswith(PAYLOAD) else None
        if not expected:
            return
        size = None if name is None else self._sizes.get(name)
        said = self._container.sizes[self._base + path]
        if size is not None and size != said:
            self._found(path, f"has {said} bytes, and not {size}")
            return
        others = {_algorithm(manifest) for manifest in expected} - {"sha256"}
        try:
            chunks = [self._tags[path]] if path in self._tags else self._container.chunks(self._base + path)
            digests = FileDigests.of(chunks, others)
        except InvalidPackageError as error:
            self._found(path, error.detail)
            return
        found = {"sha256": digests.identity.sha256.hex, **digests.others}
        wrong = [manifest for manifest, text in expected.items() if found[_algorithm(manifest)] != text]
        if wrong:
            self._found(path, f"is not what {' and '.join(wrong)} says")
        elif name is not None:
            self._bag.payload[name] = digests.identity


def _algorithm(manifest: str) -> str:
    return manifest.removesuffix(".txt").rpartition("-")[2]


def find_base(container: Container, file: str) -> Iterator[str]:
    """The directories, at the top or one below it, that hold this file: "" or a name with a slash at its end."""
    for path in container.sizes:
        base = path.removesuffix(file)
        if path.endswith(file) and (base == "" or (base.endswith("/") and base.count("/") == 1)):
            yield base
