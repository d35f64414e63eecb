"""What an artifact was made from, and what was made from it.

Theory of operation. Nodes are artifacts and objects; an edge leads from an artifact to each input that its provenance
names. An input that is named by a digest is an object, and what is known of the making of an object is what the
artifacts say that point at it. The walk goes level by level, a few statements a level, to the depth that was asked for
and to so many nodes; each is visited once, so a circle ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection, Select, select

from artifactstore.domain.artifact import Artifact
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.domain.lineage import Edge, Lineage
from artifactstore.domain.provenance import Input, InputKind
from artifactstore.registry.schema import views
from artifactstore.registry.search import ARTIFACT, artifact_of

MAX_DEPTH = 32
#: Nodes of an answer; one that has more says that it is cut short.
MAX_NODES = 1000
#: Keys a statement: SQLite before 3.32 takes 999 variables.
_KEYS = 300

_objects, _artifacts, _inputs, _names = views.objects.c, views.artifacts.c, views.artifact_inputs.c, views.names.c


type Visible = Callable[[Artifact], bool]


def sources(connection: Connection, start: Artifact, depth: int, visible: Visible) -> Lineage:
    """What it was made from, to that depth; artifacts that are not `visible` are not walked through."""
    return _walk(start, depth, lambda reached: _inputs_of(connection, reached, visible))


def derived(connection: Connection, start: Artifact, depth: int, visible: Visible) -> Lineage:
    """What was made from it, to that depth; only artifacts that are `visible`, and whose names are not tombstoned."""
    return _walk(start, depth, lambda reached: _users_of(connection, reached, visible))


#: Edges from what was reached, its neighbours, and whether there are more than these.
type _Stepped = tuple[list[tuple[UUID, Input]], list[Artifact], bool]
type _Step = Callable[[Sequence[Artifact]], _Stepped]


def _walk(start: Artifact, depth: int, step: _Step) -> Lineage:
    if not 1 <= depth <= MAX_DEPTH:
        raise InvalidQueryError(f"depth is a whole number from 1 to {MAX_DEPTH}", field="depth")
    found = Lineage({start.id: start})
    seen: set[tuple[UUID, Input]] = set()
    reached: Sequence[Artifact] = [start]
    for level in range(1, depth + 1):
        edges, neighbours, more = step(reached)
        for edge in edges:
            if edge not in seen:
                seen.add(edge)
                found.edges.append(Edge(*edge, level))
        reached = [item for item in neighbours if item.id not in found.artifacts]
        found.artifacts.update((item.id, item) for item in reached)
        if more or len(found.artifacts) + len(found.edges) > MAX_NODES:
            found.truncated = True
            break
        if not reached:
            break
    return found


def _inputs_of(connection: Connection, reached: Sequence[Artifact], visible: Visible) -> _Stepped:
    """The inputs of these artifacts, and the artifacts that those are, or that point at them."""
    edges = [
        (UUID(bytes=row.artifact_id), Input(InputKind(row.kind), row.target))
        for keys in _chunks(item.id.bytes for item in reached)
        for row in connection.execute(
            select(views.artifact_inputs)
            .where(_inputs.artifact_id.in_(keys))
            .order_by(_inputs.artifact_id, _inputs.position)
            .limit(MAX_NODES + 1)
        )
    ]
    by_kind: dict[InputKind, list[bytes]] = {kind: [] for kind in InputKind}
    for _, source in edges:
        by_kind[source.kind].append(source.target)
    columns = (
        (_artifacts.id, by_kind[InputKind.ARTIFACT]),
        (_artifacts.blake3, by_kind[InputKind.BLAKE3]),
        (_objects.sha256, by_kind[InputKind.SHA256]),
    )
    pages = [
        list(_artifacts_of(connection, ARTIFACT.where(column.in_(keys))))
        for column, targets in columns
        for keys in _chunks(targets)
    ]
    more = any(len(page) > MAX_NODES for page in pages)
    return edges, [item for page in pages for item in page if visible(item)], more


def _users_of(connection: Connection, reached: Sequence[Artifact], visible: Visible) -> _Stepped:
    """The artifacts that name these, or their objects, as inputs."""
    targets: dict[bytes, None] = {}
    for item in reached:
        targets.update(dict.fromkeys((item.id.bytes, item.identity.blake3.value, item.identity.sha256.value)))
    edges: list[tuple[UUID, Input]] = []
    users: dict[UUID, Artifact] = {}
    more = False
    for keys in _chunks(targets):
        named = select(views.artifact_inputs).where(_inputs.target.in_(keys)).limit(MAX_NODES + 1)
        rows = connection.execute(named).all()
        more = more or len(rows) > MAX_NODES
        for ids in _chunks({row.artifact_id: None for row in rows}):
            live = _artifacts.version > _names.tombstoned_through
            for item in _artifacts_of(connection, ARTIFACT.where(_artifacts.id.in_(ids), live)):
                if visible(item):
                    users[item.id] = item
        edges += [
            (UUID(bytes=row.artifact_id), Input(InputKind(row.kind), row.target))
            for row in rows
            if UUID(bytes=row.artifact_id) in users
        ]
    return edges, list(users.values()), more


def _artifacts_of(connection: Connection, statement: Select[*tuple[object, ...]]) -> Iterator[Artifact]:
    for row in connection.execute(statement.order_by(_artifacts.id).limit(MAX_NODES + 1)):
        yield artifact_of(row)


def _chunks(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    every = list(dict.fromkeys(keys))
    for begin in range(0, len(every), _KEYS):
        yield every[begin : begin + _KEYS]
