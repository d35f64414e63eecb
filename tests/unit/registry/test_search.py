from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.registry import search
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import ArtifactQuery, prefix_bound
from artifactstore.registry.sqlite import driver
from tests.unit.registry.conftest import ACTOR, NAMES, NAMESPACES, identity, open_registry, put_file

PREFIXES = sorted({name[:end] for name in NAMES for end in range(1, len(name) + 1)})

type Row = tuple[str, str, int]


async def everything(registry: Registry) -> list[Artifact]:
    found = await registry.artifacts(ArtifactQuery(limit=search.MAX_PAGE, include_deleted=True))
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
        page = search.artifacts(connection, query)
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
            page = search.artifacts(connection, replace(query, limit=search.MAX_PAGE))
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


async def test_a_page_of_artifacts_is_bounded_by_bytes(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 60_000
    metadata = ArtifactMetadata(provenance=f'"{"x" * size}"')
    for number in range(10):
        await put_file(registry, f"name-{number}", 1, metadata=metadata)
    monkeypatch.setattr(search, "PAGE_BYTES", 3 * size)
    page = await registry.artifacts(ArtifactQuery(limit=1000))
    assert len(page.items) == 3
    assert page.next is not None
    names = [row[1] for row in await library_pages(registry, ArtifactQuery(limit=1000))]
    assert names == [f"name-{number}" for number in range(10)]


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_a_search_by_name_looks_into_so_many_namespaces_a_page(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(search, "NAMESPACES", 3)
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


# --- every term with every other --------------------------------------------------------------------------------------

KINDS, TYPES, TEAMS = [None, "log", "report"], ["text/plain", "a/b"], [None, "qa", "dev", ""]
SPACES, WORDS = ["a", "b", "c"], ["p/1", "p/2", "q"]
ARTIFACTS = 300


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Registry, list[Artifact]]]:
    """A few hundred artifacts that differ in everything that can be asked for, the same each time."""

    async def fill() -> tuple[Registry, list[Artifact]]:
        registry = await open_registry(tmp_path_factory.mktemp("varied") / "registry")
        chosen = random.Random(5)
        for _ in range(ARTIFACTS):
            team = chosen.choice(TEAMS)
            labels = {"n": str(chosen.randrange(3))} | ({} if team is None else {"team": team})
            metadata = ArtifactMetadata(chosen.choice(KINDS), chosen.choice(TYPES), labels)
            name, space = chosen.choice(WORDS), chosen.choice(SPACES)
            await put_file(registry, name, chosen.randrange(8), space, metadata=metadata)
            if chosen.random() < 0.03:
                await registry.tombstone(space, name, actor=ACTOR)
        return registry, await everything(registry)

    with asyncio.Runner() as runner:
        registry, rows = runner.run(fill())
        assert len(rows) == ARTIFACTS
        yield runner, registry, rows
        runner.run(registry.close())


def holds(item: Artifact, query: ArtifactQuery) -> bool:
    """All that can be asked, said in Python."""
    said, size = item.metadata, item.identity.size_bytes
    return (
        wanted(item, query)
        and query.kind in (None, said.kind)
        and query.media_type in (None, said.media_type)
        and all(key in said.labels if value is None else said.labels.get(key) == value for key, value in query.labels)
        and (query.digest is None or item.identity.matches(query.digest))
        and (query.size_min is None or size >= query.size_min)
        and (query.size_max is None or size <= query.size_max)
        and (query.created_after is None or item.created_at >= query.created_after)
        and (query.created_before is None or item.created_at < query.created_before)
        and (query.namespaces is None or item.namespace in query.namespaces)
    )


def all_pages(connection: Connection, query: ArtifactQuery) -> list[Artifact]:
    found: list[Artifact] = []
    for _ in range(10 * ARTIFACTS):
        page = search.artifacts(connection, query)
        assert len(page.items) <= query.limit
        found += page.items
        if page.next is None:
            return found
        query = replace(query, cursor=page.next)
    raise AssertionError("a search does not end")


def queries_over(rows: list[Artifact]) -> st.SearchStrategy[ArtifactQuery]:
    label = st.tuples(st.sampled_from(["team", "n", "none"]), st.sampled_from([None, "qa", "dev", "", "0", "1"]))
    moment = st.none() | st.sampled_from([item.created_at for item in rows])
    size = st.none() | st.integers(0, 9)
    digest = st.builds(
        lambda number, sha: identity(number).sha256 if sha else identity(number).blake3,
        st.integers(0, 9),
        st.booleans(),
    )
    return st.builds(
        ArtifactQuery,
        namespace=st.none() | st.sampled_from([*SPACES, "none"]),
        name=st.none() | st.sampled_from([*WORDS, "none"]),
        name_prefix=st.none() | st.sampled_from(["", "p", "p/", "q", "z"]),
        kind=st.sampled_from([*KINDS, "none"]),
        labels=st.lists(label, max_size=3).map(tuple),
        media_type=st.none() | st.sampled_from([*TYPES, "none/none"]),
        digest=st.none() | digest,
        size_min=size,
        size_max=size,
        created_after=moment,
        created_before=moment,
        namespaces=st.none() | st.frozensets(st.sampled_from([*SPACES, "none"])),
        include_deleted=st.booleans(),
        limit=st.integers(1, 400),
    )


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_search_in_any_pages_is_what_a_plain_filter_finds(
    varied: tuple[asyncio.Runner, Registry, list[Artifact]], data: st.DataObject
) -> None:
    runner, registry, rows = varied
    query = data.draw(queries_over(rows))
    found = runner.run(registry._readers.run(partial(all_pages, query=query)))
    assert found == [item for item in rows if holds(item, query)]


TERMS: dict[str, Any] = {
    "namespace": "a",
    "name": "p/1",
    "name_prefix": "p/",
    "kind": "log",
    "labels": (("team", "qa"), ("n", None)),
    "media_type": "a/b",
    "digest": identity(3).sha256,
    "size_min": 2,
    "size_max": 5,
    "created_after": "2026-02-01T00:01",
    "created_before": "2026-02-01T00:05",
}


@pytest.mark.parametrize("bound", [3, 4096])
def test_combinations_of_terms(
    varied: tuple[asyncio.Runner, Registry, list[Artifact]], monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """Of up to three, and of nearly all. With a small bound most pages are short or empty; the whole is found."""
    runner, registry, rows = varied
    monkeypatch.setattr(search, "SCANNED", bound)
    counts = (0, 1, 2, 3, len(TERMS) - 1, len(TERMS)) if bound > 3 else (0, 1, 2)  # many combinations, or many pages

    def compare(connection: Connection) -> None:
        for count in counts:
            for chosen in itertools.combinations(TERMS, count):
                query = ArtifactQuery(**{name: TERMS[name] for name in chosen}, limit=50)
                expected = [item for item in rows if holds(item, query)]
                assert all_pages(connection, query) == expected, chosen

    runner.run(registry._readers.run(compare))


def test_a_page_looks_at_so_many_and_no_more(
    varied: tuple[asyncio.Runner, Registry, list[Artifact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, registry, _ = varied
    monkeypatch.setattr(search, "SCANNED", 5)
    page = runner.run(registry.artifacts(ArtifactQuery(size_min=10)))
    assert page.items == ()
    assert page.next is not None


@pytest.mark.parametrize(
    "query", [ArtifactQuery("a", "n"), ArtifactQuery("a"), ArtifactQuery(), ArtifactQuery(media_type="text/plain")]
)
async def test_a_page_costs_no_more_for_what_is_before_it(registry: Registry, query: ArtifactQuery) -> None:
    versions = 600
    await asyncio.gather(
        *(put_file(registry, "n", 1, "a", metadata=ArtifactMetadata(media_type="text/plain")) for _ in range(versions))
    )

    steps: list[int] = []  # of each page, in the database's own instructions

    def counted(connection: Connection, wanted: ArtifactQuery) -> search.Page:
        steps.append(0)

        def step() -> int:
            steps[-1] += 1
            return 0

        driver(connection).set_progress_handler(step, 1)
        try:
            return search.artifacts(connection, wanted)
        finally:
            driver(connection).set_progress_handler(None, 0)

    assert registry._writer is not None
    last, following = 0, replace(query, limit=10)
    for _ in range(versions // 10 - 1):
        page = await registry._writer.run(partial(counted, wanted=following))
        last = page.items[-1].version
        following = replace(following, cursor=page.next)
    assert last == versions - 10
    assert max(steps[1:]) < 1.2 * steps[1]
