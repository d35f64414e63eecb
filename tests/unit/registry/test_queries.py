from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Retrievals
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.registry import queries
from artifactstore.registry.cursors import encode_cursor
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.queries import ArtifactQuery, prefix_bound
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, identity, open_registry, put_file, put_object

NAMESPACES = ["a", "a-", "a0", "b"]
#: On both sides of where UTF-8, UTF-16 and code points could order differently, and at the ends.
NAMES = ["a", "a/b", "a~", "a\u07ff", "a\u0800", "a\ud7ff", "a\ue000", "a\uffff", "a\U00010000", "a\U0010ffff"]
NAMES += ["a\U0010ffffz", "b", "B", "%", "_", "\u00e9", "e\u0301", "\U0010ffff", "\U0010ffff\U0010ffff"]
PREFIXES = sorted({name[:end] for name in NAMES for end in range(1, len(name) + 1)})

type Row = tuple[str, str, int]


@pytest.fixture
async def library(directory: Path) -> AsyncIterator[Registry]:
    """Every name in every namespace, some with versions, some deleted and some deleted and made anew."""
    registry = await open_registry(directory)

    async def put_all(number: int, keep: Callable[[int], bool]) -> None:
        names = [(space, name) for space in NAMESPACES for name in NAMES]
        await asyncio.gather(
            *(put_file(registry, name, number, space) for place, (space, name) in enumerate(names) if keep(place))
        )

    await put_all(1, lambda _: True)
    await put_all(2, lambda place: place % 3 == 0)
    tombstoned = [(space, name) for space in NAMESPACES for name in NAMES[1::4]]
    await asyncio.gather(*(registry.tombstone(space, name, actor=ACTOR) for space, name in tombstoned))
    await put_all(3, lambda place: place % 6 == 1)
    yield registry
    await registry.close()


async def everything(registry: Registry) -> list[Artifact]:
    found = await registry.artifacts(ArtifactQuery(limit=queries.MAX_PAGE, include_deleted=True))
    assert found.next is None
    return list(found.items)


def wanted(item: Artifact, query: ArtifactQuery) -> bool:
    """The search, said in Python."""
    return (
        (query.namespace is None or item.namespace == query.namespace)
        and (query.name is None or item.name == query.name)
        and item.name.startswith(query.name_prefix or "")
        and (query.include_deleted or not item.deleted)
    )


def key(item: Artifact) -> Row:
    return item.namespace, item.name, item.version


def searches() -> Iterator[ArtifactQuery]:
    for deleted in (False, True):
        for namespace in (None, *NAMESPACES, "c"):
            yield ArtifactQuery(namespace=namespace, include_deleted=deleted)
            for text in (*PREFIXES, "", "nothing"):
                yield ArtifactQuery(namespace=namespace, name_prefix=text, include_deleted=deleted)
                yield ArtifactQuery(namespace=namespace, name=text, include_deleted=deleted)
    yield ArtifactQuery(name="a/b", name_prefix="a")
    yield ArtifactQuery(namespace="a", name="a/b", name_prefix="b")


def paged(connection: Connection, query: ArtifactQuery) -> list[Row]:
    found: list[Row] = []
    while True:
        page = queries.artifacts(connection, query)
        assert len(page.items) <= query.limit
        found += [key(item) for item in page.items]
        if page.next is None:
            return found
        query = replace(query, cursor=page.next)


async def library_pages(registry: Registry, query: ArtifactQuery) -> list[Row]:
    return await registry._readers.run(partial(paged, query=query))


async def test_everything_is_in_the_order_of_code_points(library: Registry) -> None:
    rows = [key(item) for item in await everything(library)]
    assert rows == sorted(rows)
    assert {row[:2] for row in rows} == {(space, name) for space in NAMESPACES for name in NAMES}
    assert any(item.deleted for item in await everything(library))


async def test_a_search_finds_what_it_says(library: Registry) -> None:
    rows = await everything(library)

    def compare(connection: Connection) -> None:
        for query in searches():
            page = queries.artifacts(connection, replace(query, limit=queries.MAX_PAGE))
            assert [key(item) for item in page.items] == [key(item) for item in rows if wanted(item, query)], query

    await library._readers.run(compare)


@pytest.mark.parametrize("limit", [*range(1, 8), 50])
async def test_pages_give_each_row_once(library: Registry, limit: int) -> None:
    rows = await everything(library)
    some = [ArtifactQuery(limit=limit), ArtifactQuery(limit=limit, include_deleted=True)]
    some += [ArtifactQuery(namespace="a-", limit=limit), ArtifactQuery(name_prefix="a", limit=limit)]
    some += [ArtifactQuery(name="a", limit=limit, include_deleted=True), ArtifactQuery(name_prefix="", limit=limit)]
    some += [ArtifactQuery(namespace="b", name_prefix="\U0010ffff", limit=limit)]
    for query in some:
        assert (await library.artifacts(query)).next is None or len((await library.artifacts(query)).items) == limit
        found = await library_pages(library, query)
        assert found == [key(item) for item in rows if wanted(item, query)]


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_a_size(registry: Registry, limit: int) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        await registry.artifacts(ArtifactQuery(limit=limit))
    assert caught.value.field == "limit"


async def test_a_cursor_belongs_to_its_search(library: Registry) -> None:
    query = ArtifactQuery(namespace="a", limit=2)
    page = await library.artifacts(query)
    for other in (
        replace(query, namespace="b"),
        replace(query, namespace=None),
        replace(query, name_prefix="a"),
        replace(query, include_deleted=True),
    ):
        with pytest.raises(InvalidQueryError):
            await library.artifacts(replace(other, cursor=page.next))
    assert (await library.artifacts(replace(query, limit=5, cursor=page.next))).items


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), st.text(st.characters(exclude_categories=["Cs"])))
def test_the_bound_of_a_prefix_divides_all_text(prefix: str, text: str) -> None:
    bound = prefix_bound(prefix)
    within = text >= prefix and (bound is None or text < bound)
    assert within == text.startswith(prefix)
    assert (prefix + text).startswith(prefix)
    assert bound is None or prefix + text < bound


@pytest.mark.parametrize(
    ("prefix", "bound"),
    [("", None), ("a", "b"), ("a\ud7ff", "a\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff" * 2, None)],
)
def test_bounds_at_the_edges(prefix: str, bound: str | None) -> None:
    assert prefix_bound(prefix) == bound


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


async def test_a_page_of_artifacts_is_bounded_by_bytes(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 60_000
    metadata = ArtifactMetadata(provenance=f'"{"x" * size}"')
    for number in range(10):
        await put_file(registry, f"name-{number}", 1, metadata=metadata)
    monkeypatch.setattr(queries, "PAGE_BYTES", 3 * size)
    page = await registry.artifacts(ArtifactQuery(limit=1000))
    assert len(page.items) == 3
    assert page.next is not None
    names = [row[1] for row in await library_pages(registry, ArtifactQuery(limit=1000))]
    assert names == [f"name-{number}" for number in range(10)]


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_a_search_by_name_looks_into_so_many_namespaces_a_page(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(queries, "NAMESPACES", 3)
    for number in range(11):
        for name in ("wanted", "wanted-too") if number in (0, 7) else ("other",):
            await put_file(registry, name, 1, f"space-{number:02}")
    for query in (ArtifactQuery(name_prefix="wanted", limit=limit), ArtifactQuery(name="wanted", limit=limit)):
        expected = [
            (f"space-{number:02}", name, 1)
            for number in (0, 7)
            for name in ("wanted", "wanted-too")
            if query.name in (None, name)
        ]
        assert await library_pages(registry, query) == expected
    nothing = await registry.artifacts(ArtifactQuery(name_prefix="nothing"))
    assert nothing.items == ()
    assert nothing.next is not None
    assert await library_pages(registry, ArtifactQuery(name_prefix="nothing")) == []
    beyond = await library_pages(registry, ArtifactQuery(limit=limit))
    assert len(beyond) == 13, "one range over all namespaces has no such end"


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
LOOKUPS: dict[str, Callable[[Connection], object]] = {
    "all": lambda c: queries.artifacts(c, ArtifactQuery()),
    "all, on": lambda c: queries.artifacts(c, with_cursor(ArtifactQuery())),
    "namespace": lambda c: queries.artifacts(c, ArtifactQuery(namespace="a")),
    "namespace, on": lambda c: queries.artifacts(c, with_cursor(ArtifactQuery(namespace="a"))),
    "name": lambda c: queries.artifacts(c, ArtifactQuery(name="a")),
    "prefix": lambda c: queries.artifacts(c, ArtifactQuery(name_prefix="a")),
    "prefix, on": lambda c: queries.artifacts(c, with_cursor(ArtifactQuery(name_prefix="a", include_deleted=True))),
    "both": lambda c: queries.artifacts(c, ArtifactQuery(namespace="a", name_prefix="a")),
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
        assert not step.startswith("SCAN") or "USING INDEX" in step, steps  # an index in its order, to the limit
        assert "TEMP B-TREE" not in step, steps
        assert "AUTOMATIC" not in step, steps
