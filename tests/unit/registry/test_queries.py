from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import Connection, event

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Retrievals
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.registry import lineage, queries, search
from artifactstore.registry.cursors import encode_cursor
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import ArtifactQuery
from tests.unit.registry.conftest import ACTOR, identity, put_object


async def test_the_log_in_pages(library: Registry) -> None:
    head = await library.head()
    for limit in (1, 7, 1000):
        after, found = 0, []
        while page := await library.events(after, limit):
            found += [item.seq for item in page]
            after = page[-1].seq
            if limit == 1 and after == 5:
                break
        assert found == list(range(1, len(found) + 1))
        assert limit == 1 or len(found) == head
    assert await library.events(head, 10) == []


async def test_a_page_of_the_log_is_bounded_by_bytes_and_makes_way(
    library: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await library.events(0, 1000)
    largest = max(len(item.payload) for item in whole)
    for bound in (1, 3 * largest):
        monkeypatch.setattr(queries, "PAGE_BYTES", bound)
        found: list[RecordedEvent] = []
        while page := await library.events(found[-1].seq if found else 0, 1000):
            assert len(page) == 1 or sum(len(item.payload) for item in page) <= bound
            found += page
        assert found == whole


async def test_retrievals_in_pages_by_either_subject(registry: Registry) -> None:
    blake3, artifact_id = identity(1).blake3, UUID(int=5)
    entries = [
        Retrievals(blake3, artifact_id if actor == "b" else None, actor, f"2026-01-31T23:5{minute}Z", 1, 10)
        for minute in (2, 1)
        for actor in ("b", "a", "c")
    ]
    for _ in range(2):
        await registry.record_retrievals(entries, actor=ACTOR)
    rows = await registry.retrievals(blake3=blake3)
    assert [(row.minute[-2:-1], row.actor, row.count, row.size_bytes) for row in rows] == [
        (minute, actor, 2, 20) for minute in "12" for actor in "abc"
    ]
    for limit in (1, 2, 5):
        found: list[Retrievals] = []
        after: tuple[str, str] | None = None
        while page := await registry.retrievals(blake3=blake3, limit=limit, after=after):
            found += page
            after = page[-1].minute, page[-1].actor
        assert found == rows
    assert [row.actor for row in await registry.retrievals(artifact_id=artifact_id)] == ["b", "b"]
    for arguments in ({}, {"artifact_id": artifact_id, "blake3": blake3}):
        with pytest.raises(InvalidQueryError):
            await registry.retrievals(**arguments)  # type: ignore[arg-type]  # both or neither is what must fail


CURSOR = ("a", "a", 1)
ARTIFACT = Artifact(UUID(int=1), "a", "a", 1, identity(1), ArtifactMetadata(), "2026", "who")
LOOKUPS: dict[str, Callable[[Connection], object]] = {
    "all": lambda c: search.artifacts(c, ArtifactQuery()),
    "all, on": lambda c: search.artifacts(c, with_cursor(ArtifactQuery())),
    "namespace": lambda c: search.artifacts(c, ArtifactQuery(namespace="a")),
    "namespace, on": lambda c: search.artifacts(c, with_cursor(ArtifactQuery(namespace="a"))),
    "name": lambda c: search.artifacts(c, ArtifactQuery(name="a")),
    "prefix": lambda c: search.artifacts(c, ArtifactQuery(name_prefix="a")),
    "prefix, on": lambda c: search.artifacts(c, with_cursor(ArtifactQuery(name_prefix="a", include_deleted=True))),
    "kind": lambda c: search.artifacts(c, ArtifactQuery(kind="report")),
    "kind, on": lambda c: search.artifacts(c, with_cursor(ArtifactQuery(kind="report"))),
    "label": lambda c: search.artifacts(c, ArtifactQuery(labels=(("a", "1"), ("b", None)), kind="report")),
    "label of a namespace": lambda c: search.artifacts(c, ArtifactQuery("a", labels=(("a", "1"),), name_prefix="a")),
    "any label, on": lambda c: search.artifacts(c, with_cursor(ArtifactQuery(labels=(("a", None),)))),
    "media type": lambda c: search.artifacts(c, ArtifactQuery(media_type="a/b", size_min=1, size_max=9)),
    "digest": lambda c: search.artifacts(c, ArtifactQuery(digest=identity(1).sha256, kind="report")),
    "created": lambda c: search.artifacts(c, ArtifactQuery(created_after="2026", created_before="2027")),
    "namespaces": lambda c: search.artifacts(c, ArtifactQuery(namespaces=frozenset({"a", "b"}))),
    "readable": lambda c: queries.readable(c, identity(1).blake3, frozenset({"a", "b"})),
    "attestations": lambda c: queries.attestations(c, identity(1).blake3, 0, 10),
    "package": lambda c: queries.package(c, UUID(int=1)),
    "packages": lambda c: queries.packages(c, None, None, 0, 10),
    "packages of a name": lambda c: queries.packages(c, frozenset({"a"}), "a", 0, 10),
    "members": lambda c: queries.members(c, UUID(int=1), -1, 10),
    "token": lambda c: queries.token(c, UUID(int=1)),
    "tokens": lambda c: queries.tokens(c, 0, 10),
    "usage": lambda c: queries.usage(c, "a"),
    "sources": lambda c: lineage.sources(c, ARTIFACT, 2, lambda _: True),
    "derived": lambda c: lineage.derived(c, ARTIFACT, 2, lambda _: True),
    "both": lambda c: search.artifacts(c, ArtifactQuery(namespace="a", name_prefix="a")),
    "deleting": lambda c: queries.deleting(c, b"", 10),
    "events": lambda c: queries.events(c, 5, 10),
    "head": queries.head,
    "retrievals of an artifact": lambda c: queries.retrievals(
        c, artifact_id=UUID(int=1), blake3=None, limit=10, after=("m", "a")
    ),
    "retrievals of an object": lambda c: queries.retrievals(
        c, artifact_id=None, blake3=identity(1).blake3, limit=10, after=None
    ),
}


def with_cursor(query: ArtifactQuery) -> ArtifactQuery:
    return replace(query, cursor=encode_cursor(query.terms(), CURSOR))


@pytest.mark.parametrize("ask", LOOKUPS.values(), ids=LOOKUPS.keys())
async def test_no_answer_looks_at_a_whole_table(library: Registry, ask: Callable[[Connection], object]) -> None:
    await put_object(library, 1)

    def plans(connection: Connection) -> list[str]:
        asked: list[tuple[str, object]] = []

        def keep(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", keep)
        ask(connection)
        event.remove(connection, "before_cursor_execute", keep)
        found: list[str] = []
        for statement, parameters in asked:
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]  # as the driver got them
            found += [row[3] for row in explained]
        return found

    steps = await library._readers.run(plans)
    assert steps
    for step in steps:
        assert not step.startswith("SCAN") or re.search("USING (COVERING )?INDEX", step), (
            steps
        )  # in order, to the limit
        assert "TEMP B-TREE" not in step, steps
        assert "AUTOMATIC" not in step, steps
