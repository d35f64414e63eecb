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

from artifactstore.domain.artifact import SignatureOutcome
from artifactstore.domain.token import Scope
from artifactstore.domain.usage import Quota
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.rebuilding import Shadow
from artifactstore.registry.registry import Registry
from artifactstore.registry.sqlite import scratch_engine, writer_engine
from tests.unit.registry.catalog_model import Attest, Issue, Known, Relabel, Revoke, Seal
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

NUMBERS = st.integers(1, 4)  # few, so that operations meet
NAMESPACES = st.sampled_from(["default", "other"])
NAMES = st.sampled_from(["a", "b"])
QUOTAS = st.none() | st.none() | st.builds(Quota, st.none() | st.integers(0, 5), st.none() | st.integers(0, 9))
PUTS = st.builds(Put, NUMBERS, NAMESPACES, st.booleans(), QUOTAS)
FILES = st.builds(File, NUMBERS, NAMESPACES, NAMES, st.booleans(), st.none() | NUMBERS, QUOTAS)
KNOWN = st.builds(Known, NUMBERS, NAMESPACES, NAMES, st.booleans(), QUOTAS)
DAMAGES = st.builds(Damage, NUMBERS, st.sampled_from(["missing", "different"]))
MENDS = st.builds(Mend, NUMBERS)
DELETES = st.builds(Delete, NUMBERS)
PURGES = st.builds(Purge, NUMBERS)
TOMBSTONES = st.builds(Tombstone, NAMESPACES, NAMES)
RETRIEVALS = st.builds(Retrieve, NUMBERS, st.lists(st.integers(1, 9), max_size=2).map(tuple))
LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12") | st.none(), max_size=2).map(
    lambda given: (*given.items(),)
)
RELABELS = st.builds(Relabel, NAMESPACES, NAMES, st.integers(1, 3), LABELS, st.none() | st.integers(1, 2))
ATTESTS = st.builds(Attest, NUMBERS, NUMBERS, st.sampled_from([SignatureOutcome.UNSIGNED, SignatureOutcome.VERIFIED]))
SEALABLE = st.integers(3, 4)  # not all: a package forbids the deletion of what it holds for ever
SEALS = st.builds(
    Seal, SEALABLE, st.lists(SEALABLE, min_size=1, max_size=2).map(tuple), NAMESPACES, st.none() | SEALABLE
)
ISSUES = st.builds(Issue, st.frozensets(st.sampled_from(Scope), min_size=1))
REVOKES = st.builds(Revoke, st.integers(0, 2))
OLDER = st.one_of(PUTS, FILES, DAMAGES, MENDS, DELETES, PURGES, TOMBSTONES, RETRIEVALS)
OPERATIONS = st.one_of(OLDER, OLDER, KNOWN, RELABELS, ATTESTS, SEALS, ISSUES, REVOKES)


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

    @rule(operation=st.one_of(KNOWN, RELABELS))
    def record_or_label_what_is_known(self, operation: Operation) -> None:
        self.perform([operation])

    @rule(operation=st.one_of(ATTESTS, SEALS))
    def state_or_seal(self, operation: Operation) -> None:
        self.perform([operation])

    @rule(operation=st.one_of(ISSUES, REVOKES))
    def issue_or_revoke(self, operation: Operation) -> None:
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
            asked = (operation.ask(self.registry, self.model.ids) for operation in operations)
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
        for number in range(1, 5):
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
        self.ask_for_the_catalog()
        deleting = {record.identity.size_bytes for record in self.loop.run(self.registry.deleting())}
        assert deleting == {number for number, state in self.model.states.items() if state == "deleting"}

    def ask_for_the_catalog(self) -> None:
        registry, model, run = self.registry, self.model, self.loop.run
        for namespace in ("default", "other"):
            assert run(registry.usage(namespace)) == model.usage(namespace)
        for key, artifact_id in model.ids.artifacts.items():
            artifact = run(registry.artifact(artifact_id))
            assert artifact is not None
            assert (artifact.revision, artifact.metadata.labels) == model.labels[key]
        for number in range(1, 5):
            attached = run(registry.attestations(identity(number).blake3))
            found = [(item.statement, item.signature.value) for _, item in attached]
            expected = model.attestations.get(number, [])
            assert found == [(identity(statement).blake3, signature) for statement, signature in expected]
        packages = {item.manifest.size_bytes: item for _, item in run(registry.packages())}
        assert packages.keys() == model.packages.keys()
        for manifest, package in model.packages.items():
            members = run(registry.members(packages[manifest].id))
            assert tuple(member.identity.size_bytes for member in members) == package.members
            successor = None if package.superseded_by is None else model.ids.packages[package.superseded_by]
            assert packages[manifest].superseded_by == successor
            assert packages[manifest].size_bytes == sum(package.members)
        tokens = run(registry.tokens())
        assert [token.id for _, token in tokens] == model.ids.tokens
        assert [token.revoked_at is not None for _, token in tokens] == model.tokens

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
