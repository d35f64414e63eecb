"""The families of cases: where a run is broken off, and how."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from artifactstore.store import Store
from tests.crash import disk, oracle, volume
from tests.crash.campaign import Base, Campaign
from tests.crash.disk import Disk, Variant
from tests.crash.driver import Fault, Scenario
from tests.crash.journal import read
from tests.crash.operations import OPERATIONS, SMALL, Act
from tests.crash.oracle import Findings
from tests.crash.shim import Action

MAKING = (Scenario("making", ("put_new",)), "empty")
MIGRATION = (Scenario("migration", ("put_new",)), "old")
OPENING = (Scenario("opening", ()), "filled")
EACH = tuple((Scenario(name, (name,), at_open=False), "filled") for name in OPERATIONS)
#: A backup copies all that there is, for which an image has no room when eight writers make them.
WRITERS = Scenario(
    "8 writers", tuple(name for name in OPERATIONS if name != "backup"), writers=8, rounds=1000, at_open=False
)
#: Of the shutdown: the journal is written out first; or what is in memory is lost at once.
LOGFLUSH, NOLOGFLUSH = 1, 2

type Case = tuple[Scenario, str]


def kills(campaign: Campaign, case: Case, *, stride: int = 1, action: Action = Action.KILL) -> None:
    """SIGKILL at the 1st, 2nd, ... call, until a run is clean."""
    scenario, base = case[0], campaign.base(case[1])
    family = f"{action.name.lower()}: {scenario.name}"
    with campaign.family(family):
        for nth in _points(campaign, family, stride, case):
            fault = Fault(action, nth)
            with campaign.in_memory(base):
                ended = campaign.perform(scenario, fault, f"{campaign.seed}-{nth}")
                campaign.expect(ended, family, fault)
                campaign.judge(campaign.known(base), family, str(fault), fired=not ended.clean)
            if ended.clean:
                break


def shutdowns(campaign: Campaign, case: Case, flag: int, *, stride: int = 1) -> None:
    """The file system is shut down at the 1st, 2nd, ... call, until a run is clean; then mounted again."""
    scenario, base = case[0], campaign.base(case[1])
    family = f"shutdown {flag}: {scenario.name}"
    with campaign.family(family):
        for nth in _points(campaign, family, stride, case):
            fault = Fault(Action.SHUTDOWN, nth, flag)
            with campaign.on_image(base):
                ended = campaign.perform(scenario, fault, f"{campaign.seed}-{nth}")
                campaign.expect(ended, family, fault)
            with campaign.remounted():
                campaign.judge(campaign.known(base), family, str(fault), fired=not ended.clean)
            if ended.clean:
                break


def forgetting(
    campaign: Campaign, case: Case, variants: tuple[Variant, ...], *, stride: int = 1, promised: bool = False
) -> None:
    """One run; then, for each point in it, what a disk that forgets all it may would have left there.

    `promised`: only where an acknowledgement was given, which is where a missing sync shows.
    """
    scenario, base = case[0], campaign.base(case[1])
    family = f"{'forgetting at a promise' if promised else 'forgetting'}: {scenario.name}"
    record = campaign.workspace / "record"
    with campaign.family(family):
        with campaign.in_memory(base):
            before = Disk(campaign.place)
            campaign.must(campaign.perform(scenario, Fault(), campaign.seed, record=record))
        first = random.Random(f"{campaign.seed}/{family}").randrange(stride)
        promises = campaign.promises()
        judged: set[bytes] = set()
        states = islice(disk.states(before, disk.read_calls(record)), first, None, stride)
        for point, until in campaign.unfinished(family, states):
            if point < campaign.first - 1:
                continue
            if promised and not promises & set(range(point, min(until, point + 999) + 1)):
                continue
            known = campaign.known(base, until)
            for variant in variants:
                left = before.left(variant, random.Random(f"{campaign.seed}/{point}"))
                if (mark := disk.digest(left, repr(known.keys))) in judged:
                    continue  # the call changed nothing that this variant keeps, and nothing was promised since
                judged.add(mark)
                with volume.memory(campaign.place):
                    disk.lay_out(left, campaign.place)
                    campaign.judge(known, family, f"{variant} after call {point}")


def errors(campaign: Campaign, case: Case, fault_of: Fault, *, stride: int = 1) -> None:
    """The 1st, 2nd, ... call fails, and with `sticky` all after it, until none is left. The store must go on."""
    scenario, base = case[0], campaign.base(case[1])
    what = errno.errorcode.get(fault_of.argument, "short write")
    family = f"{what}{' from then on' if fault_of.sticky else ''}: {scenario.name}"
    with campaign.family(family):
        for nth in _points(campaign, family, stride, case):
            fault = Fault(fault_of.action, nth, fault_of.argument, fault_of.sticky)
            with campaign.in_memory(base):
                ended = campaign.perform(scenario, fault, f"{campaign.seed}-{nth}", after=_goes_on(campaign, base))
                campaign.expect(ended, family, fault)
                known = campaign.known(base)
                campaign.judge(known, family, str(fault), fired=nth <= (known.calls or nth))
            if nth > (known.calls or 0):
                break


def failed_and_cut(campaign: Campaign, case: Case, fault_of: Fault, *, stride: int = 1) -> None:
    """The 1st, 2nd, ... call fails, the run goes on, and at its end the power fails, on the disk that forgets."""
    scenario, base = case[0], campaign.base(case[1])
    what = errno.errorcode[fault_of.argument]
    family = f"{what}, then a cut: {scenario.name}"
    record = campaign.workspace / "record"
    with campaign.family(family):
        for nth in _points(campaign, family, stride, case):
            fault = Fault(fault_of.action, nth, fault_of.argument)
            with campaign.in_memory(base):
                forgetful = Disk(campaign.place)
                ended = campaign.perform(scenario, fault, f"{campaign.seed}-{nth}", record=record)
                campaign.expect(ended, family, fault)
            for _ in disk.states(forgetful, disk.read_calls(record)):
                pass
            with volume.memory(campaign.place):
                disk.lay_out(forgetful.left(Variant.LEAST, random.Random(0)), campaign.place)
                known = campaign.known(base)
                campaign.judge(known, family, str(fault), fired=nth <= (known.calls or nth))
            if nth > (known.calls or 0):
                break


def killed_and_cut(campaign: Campaign, case: Case, *, stride: int = 1) -> None:
    """The 1st, 2nd, ... call is a SIGKILL; a second run goes to its end with the same contents; then a power cut."""
    scenario, base = case[0], campaign.base(case[1])
    family = f"killed, opened, cut: {scenario.name}"
    records = (campaign.workspace / "record", campaign.workspace / "record-again")
    with campaign.family(family):
        for nth in _points(campaign, family, stride, case):
            fault = Fault(Action.KILL, nth)
            with campaign.in_memory(base):
                forgetful = Disk(campaign.place)
                first = campaign.perform(scenario, fault, f"{campaign.seed}-{nth}", record=records[0])
                again = campaign.perform_again(scenario, f"{campaign.seed}-{nth}", record=records[1])
                campaign.expect(again, family, fault)
            for record in records:
                for _ in disk.states(forgetful, disk.read_calls(record)):
                    pass
            with volume.memory(campaign.place):
                disk.lay_out(forgetful.left(Variant.LEAST, random.Random(0)), campaign.place)
                campaign.judge(campaign.known(base), family, str(fault), fired=not first.clean)
            if first.clean:
                break


def _goes_on(campaign: Campaign, base: Base) -> object:
    """When the fault is over, an open store takes new bytes, and still has what it had."""

    async def after(store: Store, act: Act) -> None:
        for size in (SMALL, 100_000):
            try:
                await act.put(act.content(size))
            except Exception as error:
                act.journal.finding(f"after the fault, an upload fails: {error!r}")
        findings = Findings()
        await oracle.check(store, read(base.journal, campaign.journal), findings)
        for line in findings.lines:
            act.journal.finding(f"while still open: {line}")

    return after


def random_cuts(campaign: Campaign, count: int) -> None:
    """Eight writers, and the power fails at some call of theirs. The cases have numbers, and begin with `first`."""
    family = "power cuts under 8 writers"
    base = campaign.base("filled")
    with campaign.family(family):
        for number in campaign.unfinished(family, range(campaign.first, campaign.first + count)):
            dice = random.Random(f"{campaign.seed}/cut/{number}")
            fault = Fault(Action.SHUTDOWN, int(dice.triangular(1, 3000, 200)), dice.choice((LOGFLUSH, NOLOGFLUSH)))
            with campaign.on_image(base):
                ended = campaign.perform(WRITERS, fault, f"{campaign.seed}-{number}")
                campaign.expect(ended, family, fault)
            with campaign.remounted():
                campaign.judge(campaign.known(base), family, f"{number}: {fault}", fired=not ended.clean)


def recoveries(campaign: Campaign, case: Case, fault_of: Fault, *, stride: int) -> None:
    """A run is killed; then its recovery is, or fails, at the 1st, 2nd, ... call; then it must succeed."""
    scenario, base = case[0], campaign.base(case[1])
    what = fault_of.action.name.lower()
    family = f"{what} {errno.errorcode.get(fault_of.argument, '')} in recovery: {scenario.name}".replace("  ", " ")
    crashed = Base("crashed", campaign.workspace / "crashed", base.journal, base.image)
    with campaign.family(family):
        for killed in _points(campaign, family, stride, case):
            with campaign.in_memory(base):
                ended = campaign.perform(scenario, Fault(Action.KILL, killed), f"{campaign.seed}-{killed}")
                known = campaign.known(base)
                volume.renew(crashed.tree)
                volume.copy_tree(campaign.place, crashed.tree)
            if ended.clean:
                break
            every = max(1, stride // 6)
            begin = random.Random(f"{campaign.seed}/{family}/{killed}").randint(1, every)
            for nth in campaign.unfinished(f"{family}/{killed}", range(begin, 100_000, every)):
                fault = Fault(fault_of.action, nth, fault_of.argument)
                with campaign.in_memory(crashed):
                    ended = campaign.perform(OPENING[0], fault, campaign.seed)
                    at = f"killed at call {killed}, recovery: {fault}"
                    campaign.expect(ended, family, at)
                    recovery = campaign.known(base)  # whose errors of the system are findings, too
                    told = replace(known, findings=known.findings + recovery.findings)
                    over = ended.clean and nth > (recovery.calls or 0)
                    campaign.judge(told, family, at, fired=not over)
                if over:
                    break


def _points(campaign: Campaign, family: str, stride: int, case: Case) -> Iterator[int]:
    """The numbers of the calls that go wrong: every so many of all; or of those of a kind, if only these are wanted."""
    first = random.Random(f"{campaign.seed}/{family}").randrange(stride)
    if not campaign.kinds:
        return campaign.unfinished(family, range(campaign.first + first, 100_000, stride))
    numbers = [number for number in _of_kinds(campaign, case) if number >= campaign.first]
    return campaign.unfinished(family, numbers[first::stride])


def _of_kinds(campaign: Campaign, case: Case) -> list[int]:
    """The numbers of the calls of the campaign's kinds in a run without a fault."""
    base, record = campaign.base(case[1]), campaign.workspace / "record"
    with campaign.in_memory(base):
        campaign.must(campaign.perform(case[0], Fault(), campaign.seed, record=record))
    begun = campaign.begun()
    calls = disk.read_calls(record)
    return [call.number - begun for call in calls if call.operation in campaign.kinds and call.number > begun]
