from __future__ import annotations

import sqlite3

from artifactstore.registry.registry import Registry
from artifactstore.registry.rows import Keys
from artifactstore.registry.schema import views
from artifactstore.registry.sqlite import driver
from artifactstore.registry.views import Views
from tests.unit.registry.conftest import fill, identity


async def test_no_batch_looks_at_a_whole_table(registry: Registry) -> None:
    asked: list[str] = []
    assert registry._writer is not None
    await registry._writer.run(lambda connection: driver(connection).set_trace_callback(asked.append))
    await fill(registry)
    keys = Keys(references={identity(number).blake3.value for number in range(9)})
    await registry._writer.run(lambda connection: Views(views).load(driver(connection), keys))
    await registry._writer.run(lambda connection: driver(connection).set_trace_callback(None))

    def plans(connection: sqlite3.Connection) -> dict[str, list[str]]:
        changes = [statement for statement in asked if statement.startswith(("SELECT", "UPDATE", "DELETE"))]
        return {
            statement: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            for statement in changes
        }

    found = await registry._writer.run(lambda connection: plans(driver(connection)))
    assert len(found) > 20
    for statement, steps in found.items():
        assert not any(step.startswith("SCAN") and step != "SCAN CONSTANT ROW" for step in steps), (statement, steps)
