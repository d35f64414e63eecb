from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidStatementError
from artifactstore.domain.manifest import Manifest
from artifactstore.manifests.statement import MAX_STATEMENT_BYTES, Statement
from tests.packages import FILES, contents_of

SHA256 = "01" * 32
PROVENANCE: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "pkg-1.0.whl", "digest": {"sha256": SHA256, "blake3": "02" * 32, "md5": "00" * 16}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"ref": "refs/tags/v1.0", "path": ".github/workflows/release.yml"}},
            "internalParameters": {"runner": 1},
            "resolvedDependencies": [
                {"uri": "git+https://example.org/pkg@refs/tags/v1.0", "digest": {"gitCommit": "ab" * 20}},
                {"name": "constraints.txt", "digest": {"sha256": "03" * 32}, "mediaType": "text/plain"},
            ],
        },
        "runDetails": {
            "builder": {"id": "https://example.org/builder", "version": {"x": "1"}},
            "metadata": {
                "invocationId": "https://example.org/runs/7",
                "startedOn": "2026-01-31T23:59:58Z",
                "finishedOn": "2026-02-01T00:01:02.5Z",
            },
            "byproducts": [],
        },
    },
    "extension": True,
}


def parse(document: object) -> Statement:
    return Statement.parse(json.dumps(document).encode())


def test_provenance_is_read_into_what_is_kept_of_it() -> None:
    statement = parse(PROVENANCE)
    (subject,) = statement.subjects
    assert (subject.name, subject.digests) == ("pkg-1.0.whl", PROVENANCE["subject"][0]["digest"])
    assert subject.addresses == (Digest.blake3(b"\x02" * 32), Digest.sha256(b"\x01" * 32))
    provenance = statement.provenance
    assert provenance is not None
    definition = PROVENANCE["predicate"]["buildDefinition"]
    assert provenance.build_type == definition["buildType"]
    assert provenance.external_parameters == definition["externalParameters"]
    source, constraints = provenance.resolved_dependencies
    assert source.uri == "git+https://example.org/pkg@refs/tags/v1.0"
    assert source.digests == {"gitCommit": "ab" * 20}
    assert source.addresses == ()
    assert (constraints.name, constraints.media_type) == ("constraints.txt", "text/plain")
    assert provenance.builder_id == "https://example.org/builder"
    assert provenance.invocation_id == "https://example.org/runs/7"
    assert (provenance.started_on, provenance.finished_on) == ("2026-01-31T23:59:58Z", "2026-02-01T00:01:02.5Z")


def test_our_own_manifest_is_a_statement() -> None:
    statement = Statement.parse(Manifest.of(contents_of(FILES)).encoded)
    assert {subject.name for subject in statement.subjects} == set(FILES)
    assert statement.predicate_type == "https://artifact-store.dev/package/v1"
    assert statement.provenance is None


def test_a_predicate_of_another_type_is_passed_over() -> None:
    document = {**PROVENANCE, "predicateType": "https://example.org/review/v2", "predicate": {"buildDefinition": 7}}
    assert parse(document).provenance is None
    del document["predicate"]
    assert parse(document).predicate_type == "https://example.org/review/v2"


def test_what_provenance_need_not_say() -> None:
    document = copy.deepcopy(PROVENANCE)
    del document["predicate"]["runDetails"]["metadata"]
    del document["predicate"]["buildDefinition"]["resolvedDependencies"]
    provenance = parse(document).provenance
    assert provenance is not None
    assert (provenance.resolved_dependencies, provenance.invocation_id, provenance.started_on) == ((), None, None)


def put(*path: str | int, value: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        if value is None:
            del document[path[-1]]
        else:
            document[path[-1]] = value

    return change


BUILD = ("predicate", "buildDefinition")
RUN = ("predicate", "runDetails")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (put("_type", value="https://in-toto.io/Statement/v0.1"), "_type"),
        (put("_type", value=None), "_type"),
        (put("subject", value=None), "subject"),
        (put("subject", value=[]), "subject"),
        (put("subject", 0, value="x"), "subject[0]"),
        (put("subject", 0, "digest", value=None), "subject[0]"),
        (put("subject", 0, "digest", value={}), "subject[0]"),
        (put("subject", 0, "name", value=7), "subject[0].name"),
        (put("subject", 0, "digest", "sha256", value="00"), "subject[0].digest.sha256"),
        (put("subject", 0, "digest", "sha256", value=SHA256.upper().replace("0", "A")), "subject[0].digest.sha256"),
        (put("subject", 0, "digest", "blake3", value="zz" * 32), "subject[0].digest.blake3"),
        (put("subject", 0, "digest", "sha999", value=7), "subject[0].digest.sha999"),
        (put("subject", 0, "digest", "no such", value="00"), "subject[0].digest.no such"),
        (put("predicateType", value="a b"), "predicateType"),
        (put("predicate", value=None), "predicate"),
        (put("predicate", value=[]), "predicate"),
        (put(*BUILD, value=None), "predicate.buildDefinition"),
        (put(*BUILD, "buildType", value=None), "predicate.buildDefinition.buildType"),
        (put(*BUILD, "externalParameters", value=[]), "predicate.buildDefinition.externalParameters"),
        (put(*BUILD, "resolvedDependencies", 1, value={}), "predicate.buildDefinition.resolvedDependencies[1]"),
        (
            put(*BUILD, "resolvedDependencies", 0, "digest", "gitCommit", value="ab" * 19),
            "predicate.buildDefinition.resolvedDependencies[0].digest.gitCommit",
        ),
        (put(*RUN, "builder", value={}), "predicate.runDetails.builder.id"),
        (put(*RUN, "metadata", "invocationId", value=7), "predicate.runDetails.metadata.invocationId"),
        (put(*RUN, "metadata", "startedOn", value="2026-01-31"), "predicate.runDetails.metadata.startedOn"),
        (put(*RUN, "metadata", "startedOn", value="2026-13-31T00:00:00Z"), "predicate.runDetails.metadata.startedOn"),
        (
            put(*RUN, "metadata", "finishedOn", value="2026-01-31T00:00:00+01:00"),
            "predicate.runDetails.metadata.finishedOn",
        ),
    ],
)
def test_a_statement_is_read_strictly(change: Callable[[Any], None], field: str) -> None:
    document = copy.deepcopy(PROVENANCE)
    change(document)
    with pytest.raises(InvalidStatementError) as caught:
        parse(document)
    assert caught.value.field == field


@given(st.data())
def test_any_change_is_read_or_refused(data: st.DataObject) -> None:
    document = copy.deepcopy(PROVENANCE)
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(st.sampled_from([None, 7, "", "x", [], {}, True, 1.5, [{}], {"a": 1}]))
    try:
        parse(document)
    except InvalidStatementError as error:
        assert error.field


def test_a_statement_has_a_size() -> None:
    document = {**PROVENANCE, "extension": "x" * MAX_STATEMENT_BYTES}
    with pytest.raises(InvalidStatementError, match="at most 1048576 bytes"):
        parse(document)
