"""The registry against the model, with many requests in a batch, and every prefix of the log folded again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.rebuilding import Shadow
from artifactstore.registry.registry import Registry
from artifactstore.registry.sqlite import scratch_engine, writer_engine
from tests.unit.registry.conftest import Clock, Dump, dump, dump_of, identity, open_registry
from tests.unit.registry.model import (
    Damage,
    Delete,
    File,
    Mend,
    Model,
    Operation,
    Purge,
    Put,
    Retrieve,
    Tombstone,
    outcome,
)

NUMBERS = st.integers(1, 2)  # few, so that operations meet
NAMESPACES = st.sampled_from(["default", "other"])
NAMES = st.sampled_from(["a", "b"])
PUTS = st.builds(Put, NUMBERS, NAMESPACES, st.booleans())
FILES = st.builds(File, NUMBERS, NAMESPACES, NAMES, st.booleans(), st.none() | NUMBERS)
DAMAGES = st.builds(Damage, NUMBERS, st.sampled_from(["missing", "different"]))
MENDS = st.builds(Mend, NUMBERS)
DELETES = st.builds(Delete, NUMBERS)
PURGES = st.builds(Purge, NUMBERS)
TOMBSTONES = st.builds(Tombstone, NAMESPACES, NAMES)
RETRIEVALS = st.builds(Retrieve, NUMBERS, st.lists(st.integers(1, 9), max_size=2).map(tuple))
OPERATIONS = st.one_of(PUTS, FILES, DAMAGES, MENDS, DELETES, PURGES, TOMBSTONES, RETRIEVALS)


class RegistryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name)
        self.clock = Clock()
        self.model = Model()
        self.dumps: dict[int, Dump] = {}

    @initialize()
    def open(self) -> None:
        self.registry: Registry = self.loop.run(open_registry(self.path, clock=self.clock))

    @rule(operation=PUTS)
    def store_or_claim(self, operation: Put) -> None:
        self.perform([operation])

    @rule(operation=FILES)
    def add_a_version(self, operation: File) -> None:
        self.perform([operation])

    @rule(operation=DAMAGES)
    def damage(self, operation: Damage) -> None:
        self.perform([operation])

    @rule(operation=MENDS)
    def mend(self, operation: Mend) -> None:
        self.perform([operation])

    @rule(operation=DELETES)
    def delete(self, operation: Delete) -> None:
        self.perform([operation])

    @rule(operation=PURGES)
    def purge(self, operation: Purge) -> None:
        self.perform([operation])

    @rule(operation=TOMBSTONES)
    def tombstone(self, operation: Tombstone) -> None:
        self.perform([operation])

    @rule(operation=RETRIEVALS)
    def retrieve(self, operation: Retrieve) -> None:
        self.perform([operation])

    @rule(operations=st.lists(OPERATIONS, min_size=4, max_size=12))
    def many_at_once(self, operations: list[Operation]) -> None:
        self.perform(operations)

    @rule()
    def rebuild(self) -> None:
        before = dump(self.path / DATABASE_FILE)
        assert self.loop.run(self.registry.rebuild()) == self.model.events
        assert dump(self.path / DATABASE_FILE) == before

    @rule()
    def open_again(self) -> None:
        self.loop.run(self.registry.close())
        self.open()

    def perform(self, operations: Sequence[Operation]) -> None:
        """All at once: they are queued, and so decided, in this order."""

        async def ask() -> list[object]:
            asked = (operation.ask(self.registry) for operation in operations)
            found = await asyncio.gather(*asked, return_exceptions=True)
            return [type(item) if isinstance(item, Exception) else item for item in found]

        expected = [outcome(partial(operation.expect, self.model)) for operation in operations]
        assert self.loop.run(ask()) == expected
        self.dumps[self.model.events] = dump(self.path / DATABASE_FILE)

    @rule()
    def verify(self) -> None:
        assert self.loop.run(self.registry.verify_views()) is None

    @invariant()
    def the_log_has_no_gap(self) -> None:
        events = self.loop.run(self.registry.events(limit=1000))
        assert [item.seq for item in events] == list(range(1, self.model.events + 1))
        health = self.loop.run(self.registry.health())
        assert (health.healthy, health.head, health.views_seq) == (True, len(events), len(events))

    @rule()
    def ask(self) -> None:
        for number in (1, 2):
            record = self.loop.run(self.registry.object(identity(number).sha256))
            assert (None if record is None else record.state.value) == self.model.states.get(number)
            assert (None if record is None else record.damage) == self.model.damage.get(number)
            for namespace in ("default", "other"):
                claimed = self.loop.run(self.registry.object_claimed(identity(number).blake3, namespace))
                assert claimed == ((number, namespace) in self.model.claims)
            retrieved = self.loop.run(self.registry.retrievals(blake3=identity(number).blake3))
            assert sum(entry.count for entry in retrieved) == self.model.retrieved.get(number, 0)
        for (namespace, name), versions in self.model.names.items():
            latest = self.loop.run(self.registry.latest(namespace, name))
            found = None if latest is None else (latest.version, latest.identity.size_bytes)
            assert found == ((len(versions.objects), versions.live[-1]) if versions.live else None)
        deleting = {record.identity.size_bytes for record in self.loop.run(self.registry.deleting())}
        assert deleting == {number for number, state in self.model.states.items() if state == "deleting"}

    def teardown(self) -> None:
        self.ask()
        self.verify()
        log_id = self.registry.log_id
        self.loop.run(self.registry.close())
        self.loop.close()
        source = writer_engine(self.path / DATABASE_FILE)
        note(f"{self.model.events} events")
        fold_every_prefix(source, log_id, self.dumps, steps=[1] * self.model.events)
        committed = [0, *sorted(self.dumps)]
        steps = [later - earlier for earlier, later in pairwise(committed)]
        fold_every_prefix(source, log_id, self.dumps, steps)
        source.dispose()
        self.directory.cleanup()


def fold_every_prefix(source: Engine, log_id: str, dumps: dict[int, Dump], steps: Sequence[int]) -> None:
    """Fold the log so many events at a time; after each that ended a commit, there are the rows of that commit."""
    shadow, scratch = Shadow(log_id), scratch_engine()
    with source.connect() as log, scratch.connect() as target:
        with target.begin():
            shadow.create(target)
        connection = target.connection.driver_connection
        assert connection is not None
        for step in steps:
            recorded = shadow.read(log, until=shadow.seq + step)
            with target.begin():
                shadow.fold(target, recorded)
            shadow.seq += len(recorded)
            if shadow.seq in dumps:
                assert dump_of(connection, prefix="shadow_") == dumps[shadow.seq], f"at event {shadow.seq}"
    scratch.dispose()


def test_the_registry_does_as_its_model() -> None:
    limits = settings(
        max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(RegistryMachine, settings=limits)
