from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.domain.lineage import Lineage
from artifactstore.registry import lineage
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, identity, put_file


async def make(
    registry: Registry, name: str, number: int, *inputs: Artifact | Digest, space: str = "default"
) -> Artifact:
    named = [str(item.id if isinstance(item, Artifact) else item) for item in inputs]
    metadata = ArtifactMetadata(provenance=json.dumps({"inputs": named}))
    return (await put_file(registry, name, number, space, metadata=metadata))[0]


def names(found: Lineage) -> set[str]:
    return {f"{item.name}{item.version}" for item in found.artifacts.values()}


def edges(found: Lineage) -> list[tuple[str, str, int]]:
    return [(found.artifacts[edge.artifact_id].name, str(edge.input), edge.level) for edge in found.edges]


def anything(_: Artifact) -> bool:
    return True


async def test_a_chain_is_walked_as_far_as_was_asked(registry: Registry) -> None:
    chain = [await make(registry, "a", 0)]
    for number, name in enumerate("bcde", 1):
        chain.append(await make(registry, name, number, chain[-1]))
    for depth in range(1, 7):
        up = await registry.sources(chain[-1], depth, anything)
        assert names(up) == {f"{name}1" for name in "edcba"[: depth + 1]}
        assert [edge.level for edge in up.edges] == list(range(1, min(depth, 4) + 1))
        down = await registry.derived(chain[0], depth, anything)
        assert names(down) == {f"{name}1" for name in "abcde"[: depth + 1]}
        assert [edge.level for edge in down.edges] == list(range(1, min(depth, 4) + 1))
        assert [up.truncated, down.truncated] == [False, False], depth


async def test_a_diamond_is_reached_once_and_has_all_its_edges(registry: Registry) -> None:
    top = await make(registry, "top", 0)
    left, right = await make(registry, "left", 1, top), await make(registry, "right", 2, top)
    bottom = await make(registry, "bottom", 3, left, right)
    up = await registry.sources(bottom, 5, anything)
    reached = list(up.artifacts)
    assert (reached[0], reached[-1]) == (bottom.id, top.id)
    assert edges(up)[:2] == [("bottom", str(left.id), 1), ("bottom", str(right.id), 1)]
    assert sorted(edges(up)[2:]) == [("left", str(top.id), 2), ("right", str(top.id), 2)]
    down = await registry.derived(top, 5, anything)
    assert sorted(edges(down)) == sorted(
        [
            ("left", str(top.id), 1),
            ("right", str(top.id), 1),
            ("bottom", str(left.id), 2),
            ("bottom", str(right.id), 2),
        ]
    )


async def test_a_circle_ends(registry: Registry) -> None:
    """Only digests can make one: an id is known when its artifact is there."""
    one = await make(registry, "one", 1, identity(2).sha256)
    two = await make(registry, "two", 2, identity(1).blake3)
    itself = await make(registry, "itself", 3, identity(3).sha256)
    expected = [("one", str(identity(2).sha256), 1), ("two", str(identity(1).blake3), 2)]
    assert edges(await registry.sources(one, 32, anything)) == expected
    assert edges(await registry.derived(two, 32, anything)) == expected
    for walk in (registry.sources, registry.derived):
        assert edges(await walk(itself, 32, anything)) == [("itself", str(identity(3).sha256), 1)]


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
async def test_a_digest_is_every_artifact_of_its_object(registry: Registry, algorithm: str) -> None:
    digest = getattr(identity(1), algorithm)
    for name in ("x", "x", "y"):
        await make(registry, name, 1)
    user = await make(registry, "user", 2, digest)
    found = await registry.sources(user, 1, anything)
    assert names(found) == {"user1", "x1", "x2", "y1"}
    assert edges(found) == [("user", str(digest), 1)]
    for name in ("x", "y"):
        artifact = await registry.latest("default", name)
        assert artifact is not None
        assert names(await registry.derived(artifact, 1, anything)) == {f"{name}{artifact.version}", "user1"}


async def test_an_input_that_is_not_there_is_told(registry: Registry) -> None:
    user = await make(registry, "user", 2, identity(9).sha256)
    found = await registry.sources(user, 3, anything)
    assert (names(found), edges(found)) == ({"user1"}, [("user", str(identity(9).sha256), 1)])


async def test_tombstoned_sources_stay_and_tombstoned_products_go(registry: Registry) -> None:
    source = await make(registry, "source", 1)
    product = await make(registry, "product", 2, source)
    await make(registry, "next", 3, product)
    await registry.tombstone("default", "product", actor=ACTOR)
    await make(registry, "product", 4)
    down = await registry.derived(source, 5, anything)
    assert (names(down), edges(down)) == ({"source1"}, [])
    up = await registry.sources(product, 5, anything)
    assert names(up) == {"product1", "source1"}
    await registry.tombstone("default", "source", actor=ACTOR)
    (kept,) = [
        item for item in (await registry.sources(product, 5, anything)).artifacts.values() if item.name == "source"
    ]
    assert kept.deleted


async def test_what_is_not_visible_is_neither_shown_nor_walked_through(registry: Registry) -> None:
    def visible(artifact: Artifact) -> bool:
        return artifact.namespace != "secret"

    source = await make(registry, "source", 1)
    middle = await make(registry, "middle", 2, source, space="secret")
    end = await make(registry, "end", 3, middle)
    up = await registry.sources(end, 5, visible)
    assert (names(up), edges(up)) == ({"end1"}, [("end", str(middle.id), 1)]), "what it names itself is its own to tell"
    down = await registry.derived(source, 5, visible)
    assert (names(down), edges(down)) == ({"source1"}, [])


async def test_an_answer_that_is_too_long_says_so(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MAX_NODES", 8)
    source = await make(registry, "source", 0)
    few = [await make(registry, f"few{number}", number + 1, source) for number in range(3)]
    assert not (await registry.derived(source, 3, anything)).truncated
    for number in range(20):
        await make(registry, f"many{number}", number + 10, few[0])
    found = await registry.derived(source, 3, anything)
    assert found.truncated
    assert len(found.artifacts) + len(found.edges) <= 7 + 2 * 9, "a level more than the limit, which is cut off, too"
    wide = await make(registry, "wide", 99, *(identity(number).sha256 for number in range(20)))
    assert (await registry.sources(wide, 3, anything)).truncated


@pytest.mark.parametrize("depth", [0, -1, 33])
async def test_a_depth_has_bounds(registry: Registry, depth: int) -> None:
    artifact = await make(registry, "a", 1)
    walks: list[Callable[..., Any]] = [registry.sources, registry.derived]
    for walk in walks:
        with pytest.raises(InvalidQueryError) as caught:
            await walk(artifact, depth, anything)
        assert caught.value.field == "depth"
