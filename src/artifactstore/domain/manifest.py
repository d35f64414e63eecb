"""The manifest of a package: an in-toto Statement v1 in canonical JSON (docs/package-format.md specifies it).

It depends on the package's contents alone, so that the same package always has the same bytes, and so the same digests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import rfc8785

from artifactstore.domain import bounded_json, names
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidPackageError
from artifactstore.domain.package import (
    MAX_LABEL_BYTES,
    MAX_MEMBERS,
    MAX_RELATED,
    MAX_SUPERSEDED,
    MAX_TEXT_BYTES,
    MAX_URI_BYTES,
    Completeness,
    PackageContents,
    PackageMember,
    Producer,
    Related,
)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
#: A name, which need not resolve (ADR-0021).
PREDICATE_TYPE = "https://artifact-store.dev/package/v1"
MEDIA_TYPE = "application/vnd.in-toto+json"
#: More than 10,000 members with the longest names take.
MAX_MANIFEST_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Manifest:
    """A package's contents, checked and in order, and the exact bytes that say them."""

    contents: PackageContents
    encoded: bytes

    @classmethod
    def of(cls, contents: PackageContents) -> Self:
        """The manifest of a package; InvalidPackageError for contents outside the rules."""
        contents = contents.checked()
        return cls(contents, rfc8785.dumps(_document(contents)))

    @classmethod
    def parse(cls, encoded: bytes) -> Self:
        """Read a manifest's bytes. InvalidPackageError names the field, also if other bytes would say the same."""
        root = bounded_json.read(encoded, InvalidPackageError, most_bytes=MAX_MANIFEST_BYTES, what="a manifest")
        manifest = cls.of(_contents(root))
        if manifest.encoded != encoded:
            raise InvalidPackageError(
                "the manifest is not in canonical form: other bytes say the same, and are the one"
            )
        return manifest


def _document(contents: PackageContents) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_subject(member) for member in contents.members],
        "predicateType": PREDICATE_TYPE,
        "predicate": _given(
            package=_given(namespace=contents.namespace, name=contents.name, version=contents.label),
            completeness=_given(state=str(contents.completeness), note=contents.completeness_note),
            producer=None if contents.producer is None else _producer(contents.producer),
            related=[{"relation": item.relation, "digest": str(item.digest)} for item in contents.related] or None,
            supersedes=[str(digest) for digest in contents.supersedes] or None,
            retention=contents.retention,
            sizes={member.name: member.identity.size_bytes for member in contents.members},
        ),
    }


def _given(**members: object) -> dict[str, object]:
    """What is not given is left out: there is one way to say that."""
    return {name: value for name, value in members.items() if value is not None}


def _subject(member: PackageMember) -> dict[str, object]:
    digest = {str(algorithm): member.identity.digest(algorithm).hex for algorithm in Algorithm}
    return _given(name=member.name, digest=digest, mediaType=member.media_type)


def _producer(producer: Producer) -> dict[str, object]:
    return _given(name=producer.name, version=producer.version, uri=producer.uri)


def _contents(root: Node) -> PackageContents:
    statement = root.members(("_type", "subject", "predicateType", "predicate"), ())
    statement["_type"].constant(STATEMENT_TYPE)
    statement["predicateType"].constant(PREDICATE_TYPE)
    predicate = statement["predicate"].members(
        ("package", "completeness", "sizes"), ("producer", "related", "supersedes", "retention")
    )
    package = predicate["package"].members(("namespace", "name"), ("version",))
    completeness = predicate["completeness"].members(("state",), ("note",))
    return PackageContents(
        namespace=package["namespace"].checked(names.check_namespace),
        name=package["name"].checked(names.check_name),
        label=_text(package.get("version"), MAX_LABEL_BYTES),
        members=_members(statement["subject"], predicate["sizes"]),
        completeness=Completeness(completeness["state"].constant(*Completeness)),
        completeness_note=_text(completeness.get("note"), MAX_TEXT_BYTES),
        producer=read_producer(predicate["producer"]) if "producer" in predicate else None,
        related=read_related(predicate["related"]) if "related" in predicate else (),
        supersedes=_superseded(predicate["supersedes"]) if "supersedes" in predicate else (),
        retention=predicate["retention"].checked(names.check_retention) if "retention" in predicate else None,
    )


def _members(subjects: Node, sizes: Node) -> tuple[PackageMember, ...]:
    size_of = sizes.members()
    found = []
    for node in subjects.items(least=1, most=MAX_MEMBERS):
        subject = node.members(("name", "digest"), ("mediaType",))
        name = subject["name"].text(most_bytes=names.MAX_NAME_BYTES)
        if name not in size_of:
            raise sizes.fault(f"the size of {name} is missing")
        digests = subject["digest"].members(tuple(Algorithm), ())
        blake3, sha256 = (_hex_digest(digests[algorithm], algorithm) for algorithm in Algorithm)
        found.append(
            PackageMember(
                name=name,
                identity=ObjectIdentity(blake3, sha256, size_of[name].integer()),
                media_type=subject["mediaType"].checked(names.check_media_type) if "mediaType" in subject else None,
            )
        )
    if len(size_of) > len(found):
        raise sizes.fault("there is the size of something that is no subject")
    return tuple(found)


def _hex_digest(node: Node, algorithm: Algorithm) -> Digest:
    return node.checked(lambda text: Digest.parse(f"{algorithm}:{text}"))


def _text(node: Node | None, most_bytes: int) -> str | None:
    return None if node is None else node.text(most_bytes=most_bytes)


def read_producer(node: Node) -> Producer:
    """A producer from its document."""
    members = node.members(("name",), ("version", "uri"))
    return Producer(
        name=members["name"].text(most_bytes=MAX_LABEL_BYTES),
        version=_text(members.get("version"), MAX_LABEL_BYTES),
        uri=_text(members.get("uri"), MAX_URI_BYTES),
    )


def read_related(node: Node) -> tuple[Related, ...]:
    """What a package is related to, from its document."""
    return tuple(
        Related(item["relation"].checked(names.check_kind), item["digest"].checked(Digest.parse))
        for item in (each.members(("relation", "digest"), ()) for each in node.items(least=1, most=MAX_RELATED))
    )


def _superseded(node: Node) -> tuple[Digest, ...]:
    return tuple(item.checked(Digest.parse) for item in node.items(least=1, most=MAX_SUPERSEDED))
