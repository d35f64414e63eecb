"""Packages: a sealed set of named members, and the rules that let it be unpacked anywhere.

A member's name keeps the rules of `names.check_name`, and more, since a package leaves the store: no name may be lost
or become another one in a directory on any common system (docs/package-format.md lists the rules).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from artifactstore.domain import names
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidInputError, InvalidPackageError

MAX_MEMBERS = 10_000
MAX_RELATED = 1_000
MAX_SUPERSEDED = 100
MAX_LABEL_BYTES = 256  # of a version label, a producer's name and its version
MAX_URI_BYTES = 2048
MAX_TEXT_BYTES = 4096
#: What JSON carries exactly everywhere (RFC 8785, 3.2.2.3, and RFC 7493, 2.2).
MAX_SIZE_BYTES = 2**53 - 1
#: The longest file name of the common file systems.
MAX_SEGMENT_BYTES = 255

_UNPORTABLE = re.compile(r'[<>:"|?*\\]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")  # RFC 3986: a scheme, then what a URI is written with


class Completeness(StrEnum):
    """Whether a package has all that its producer made, as the producer says."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Producer:
    """The tool that made what is in a package."""

    name: str
    version: str | None = None
    uri: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Related:
    """Something outside of the package: `relation` is a word such as `log` or `input/source`."""

    relation: str
    digest: Digest  # an object's, or that of another package's manifest


@dataclass(frozen=True, slots=True)
class PackageMember:
    """A file of a package."""

    name: str
    identity: ObjectIdentity
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class MemberSource:
    """What is to be a member: an object by either digest, or an artifact by its id.

    Without a name, an artifact is called by the last segment of its own; without a media type, it keeps its own.
    """

    source: Digest | UUID
    name: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class PackageDescription:
    """What a package says besides its name and its members; each is a field of PackageContents."""

    label: str | None = None
    completeness: Completeness = Completeness.UNKNOWN
    completeness_note: str | None = None
    producer: Producer | None = None
    related: tuple[Related, ...] = ()
    retention: str | None = None


@dataclass(frozen=True, slots=True)
class PackageContents:
    """What a package says: all of it, and nothing that the moment of sealing would add (no time, id or actor)."""

    namespace: str
    name: str
    members: tuple[PackageMember, ...]
    label: str | None = None  # a version as people write it
    completeness: Completeness = Completeness.UNKNOWN
    completeness_note: str | None = None
    producer: Producer | None = None
    related: tuple[Related, ...] = ()
    supersedes: tuple[Digest, ...] = ()  # of the manifests of the packages that it replaces
    retention: str | None = None

    def checked(self) -> PackageContents:
        """The same in the one order that is sealed; InvalidPackageError names the field that breaks a rule."""
        _check("namespace", names.check_namespace, self.namespace)
        _check("name", names.check_name, self.name)
        _check_text("label", self.label, MAX_LABEL_BYTES)
        _check_text("completeness_note", self.completeness_note, MAX_TEXT_BYTES)
        if self.producer is not None:
            _check_producer(self.producer)
        if self.retention is not None:
            _check("retention", names.check_retention, self.retention)
        for index, related in enumerate(self.related):
            _check(f"related[{index}].relation", names.check_kind, related.relation)
        all_related = _each_once("related", self.related, MAX_RELATED)
        supersedes = _each_once("supersedes", self.supersedes, MAX_SUPERSEDED)
        return replace(self, members=_check_members(self.members), related=all_related, supersedes=supersedes)


def check_member_name(text: str) -> str:
    """A member's name: a name that every common file system can hold under a directory, and every tag file of a bag."""
    names.check_name(text)
    if _UNPORTABLE.search(text):
        raise InvalidPackageError("a member's name has none of < > : \" | ? * \\, which Windows cannot hold")
    if any(unicodedata.category(character) in ("Zl", "Zp") for character in text):
        raise InvalidPackageError("a member's name has no line or paragraph separator")
    for segment in text.split("/"):
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            raise InvalidPackageError(f"a segment of a member's name has at most {MAX_SEGMENT_BYTES} bytes")
        if segment != segment.strip() or segment.endswith("."):
            raise InvalidPackageError("no segment of a member's name begins or ends with white space, or ends with '.'")
        if _DEVICE.match(segment):
            raise InvalidPackageError(f"{segment} is a device on Windows")
    return text


def same_place(text: str) -> str:
    """What a name is to a file system that minds neither case nor spelling: names that share it collide."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _check_members(members: tuple[PackageMember, ...]) -> tuple[PackageMember, ...]:
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise InvalidPackageError(f"a package has 1 to {MAX_MEMBERS} members, not {len(members)}", field="members")
    places: dict[str, str] = {}
    for index, member in enumerate(members):
        field = f"members[{index}]"
        _check(f"{field}.name", check_member_name, member.name)
        if member.media_type is not None:
            _check(f"{field}.media_type", names.check_media_type, member.media_type)
        if not 0 <= member.identity.size_bytes <= MAX_SIZE_BYTES:
            raise InvalidPackageError("a size is from 0 to 2^53 - 1 bytes", field=f"{field}.size_bytes")
        place = same_place(member.name)
        if place in places:
            what = "stands twice" if places[place] == member.name else f"is {places[place]} where case does not count"
            raise InvalidPackageError(f"{member.name} {what}", field=f"{field}.name")
        places[place] = member.name
    for index, member in enumerate(members):
        segments = same_place(member.name).split("/")
        for end in range(1, len(segments)):
            file = places.get("/".join(segments[:end]))
            if file is not None:
                raise InvalidPackageError(
                    f"{member.name} lies under {file}, which is a file", field=f"members[{index}].name"
                )
    return tuple(sorted(members, key=lambda member: member.name.encode()))


def _check_producer(producer: Producer) -> None:
    _check_text("producer.name", producer.name, MAX_LABEL_BYTES)
    _check_text("producer.version", producer.version, MAX_LABEL_BYTES)
    if producer.uri is not None and (len(producer.uri) > MAX_URI_BYTES or not _URI.match(producer.uri)):
        raise InvalidPackageError(f"a URI has a scheme and at most {MAX_URI_BYTES} characters", field="producer.uri")


def _check(field: str, check: Callable[[str], str], text: str) -> None:
    try:
        check(text)
    except InvalidInputError as error:
        raise InvalidPackageError(error.detail, field=field) from None


def _each_once[T: (Related, Digest)](field: str, values: tuple[T, ...], most: int) -> tuple[T, ...]:
    if len(values) > most:
        raise InvalidPackageError(f"at most {most} can be named", field=field)
    if len(set(values)) != len(values):
        raise InvalidPackageError("one of them stands twice", field=field)
    return tuple(sorted(values))


def _check_text(field: str, text: str | None, most_bytes: int) -> None:
    if text is None:
        return
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidPackageError("this is not UTF-8", field=field) from None
    if not 0 < size <= most_bytes or any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidPackageError(f"this has 1 to {most_bytes} bytes and no control characters", field=field)
