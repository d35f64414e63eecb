"""in-toto Statements v1 and SLSA v1 provenance, read strictly into what the registry keeps of them.

https://github.com/in-toto/attestation/tree/main/spec/v1 and https://slsa.dev/spec/v1.0/provenance. Members that the
specifications do not know are passed over, as those ask; the statement's bytes are kept elsewhere, as they came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from artifactstore.domain import bounded_json
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import InvalidStatementError
from artifactstore.domain.manifest import STATEMENT_TYPE

SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
MAX_STATEMENT_BYTES = 2**20
MAX_SUBJECTS = 10_000
MAX_TEXT_BYTES = 4096

_ALGORITHM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/-]{0,63}\Z")
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,128}\Z")
#: How many hexadecimal digits the digests have that others rely on; of other algorithms any number is taken.
_HEX_DIGITS = {"sha1": 40, "gitCommit": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}
# in-toto's Timestamp: RFC 3339 in UTC, written with Z
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Resource:
    """A ResourceDescriptor: something named by its digests, its URI, or both."""

    name: str | None
    uri: str | None
    digests: Mapping[str, str]  # by algorithm, as in-toto writes it: lower-case hexadecimal
    media_type: str | None

    @property
    def addresses(self) -> tuple[Digest, ...]:
        """Its digests by the functions that objects are known by."""
        return tuple(
            Digest(algorithm, bytes.fromhex(self.digests[algorithm]))
            for algorithm in Algorithm
            if algorithm in self.digests
        )


@dataclass(frozen=True, slots=True)
class Provenance:
    """How something was built, by SLSA v1. Times are RFC 3339 in UTC, as they were written."""

    build_type: str
    external_parameters: Mapping[str, object]
    resolved_dependencies: tuple[Resource, ...]
    builder_id: str
    invocation_id: str | None = None
    started_on: str | None = None
    finished_on: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement is about, of which type its predicate is, and the predicate if it is SLSA provenance."""

    subjects: tuple[Resource, ...]
    predicate_type: str
    provenance: Provenance | None

    @classmethod
    def parse(cls, encoded: bytes) -> Self:
        """Read a Statement v1; InvalidStatementError names the field at fault."""
        what = "a statement"
        return cls.read(bounded_json.read(encoded, InvalidStatementError, most_bytes=MAX_STATEMENT_BYTES, what=what))

    @classmethod
    def read(cls, root: Node) -> Self:
        """The same from a document that is parsed already."""
        statement = root.members(("_type", "subject", "predicateType"))
        statement["_type"].constant(STATEMENT_TYPE)
        subjects = tuple(_subject(node) for node in statement["subject"].items(least=1, most=MAX_SUBJECTS))
        predicate_type = _uri(statement["predicateType"])
        predicate = statement.get("predicate")
        if predicate is not None:
            predicate.members()  # it is an object, whatever its type
        if predicate_type != SLSA_PROVENANCE:
            return cls(subjects, predicate_type, None)
        if predicate is None:
            raise Node(None, "predicate", InvalidStatementError).fault("provenance has a predicate")
        return cls(subjects, predicate_type, _provenance(predicate))


def _subject(node: Node) -> Resource:
    resource = _resource(node)
    if not resource.digests:
        raise node.fault("a subject has a digest")
    return resource


def _resource(node: Node) -> Resource:
    members = node.members()
    resource = Resource(
        name=_text(members, "name"),
        uri=_uri(members["uri"]) if "uri" in members else None,
        digests=_digests(members["digest"]) if "digest" in members else {},
        media_type=_text(members, "mediaType"),
    )
    if resource.uri is None and not resource.digests and "content" not in members:
        raise node.fault("a resource has a uri, a digest or its content")
    return resource


def _digests(node: Node) -> Mapping[str, str]:
    digests = {}
    for algorithm, value in node.members().items():
        if not _ALGORITHM.match(algorithm):
            raise value.fault("this is not the name of a digest function")
        text = value.text(most_bytes=256)
        digits = _HEX_DIGITS.get(algorithm, len(text))
        if not _HEX.match(text) or len(text) != digits:
            raise value.fault(f"this must be {digits} lower-case hexadecimal digits")
        digests[algorithm] = text
    return digests


def _provenance(node: Node) -> Provenance:
    predicate = node.members(("buildDefinition", "runDetails"))
    definition = predicate["buildDefinition"].members(("buildType", "externalParameters"))
    run = predicate["runDetails"].members(("builder",))
    metadata = run["metadata"].members() if "metadata" in run else {}
    parameters = definition["externalParameters"]
    dependencies = definition.get("resolvedDependencies")
    return Provenance(
        build_type=_uri(definition["buildType"]),
        external_parameters={name: member.value for name, member in parameters.members().items()},
        resolved_dependencies=()
        if dependencies is None
        else tuple(_resource(item) for item in dependencies.items(most=MAX_SUBJECTS)),
        builder_id=_uri(run["builder"].members(("id",))["id"]),
        invocation_id=_text(metadata, "invocationId"),
        started_on=_time(metadata["startedOn"]) if "startedOn" in metadata else None,
        finished_on=_time(metadata["finishedOn"]) if "finishedOn" in metadata else None,
    )


def _text(members: Mapping[str, Node], name: str) -> str | None:
    return members[name].text(most_bytes=MAX_TEXT_BYTES) if name in members else None


def _uri(node: Node) -> str:
    text = node.text(most_bytes=MAX_TEXT_BYTES)
    if any(character <= " " for character in text):
        raise node.fault("a URI has no spaces and no control characters")
    return text


def _time(node: Node) -> str:
    text = node.text(most_bytes=64)
    try:
        if _TIME.match(text):
            datetime.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise node.fault("a time is written YYYY-MM-DDThh:mm:ssZ")
