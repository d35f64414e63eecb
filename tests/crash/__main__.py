"""`python -m tests.crash`: run the harness. As root; docs/RELIABILITY.md says what it covers."""

from __future__ import annotations

import argparse
import errno
import hashlib
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path

import artifactstore
from tests.crash import families, rot, shim, volume
from tests.crash.campaign import Campaign, Report, Stop
from tests.crash.disk import Operation, Variant
from tests.crash.driver import Fault
from tests.crash.families import EACH, LOGFLUSH, MAKING, MIGRATION, NOLOGFLUSH, OPENING, Case
from tests.crash.mutations.control import control
from tests.crash.scarcity import LACKS, lacking, lost_writes
from tests.crash.shim import Action

ALL = (MAKING, MIGRATION, OPENING, *EACH)
#: From this stride on, a family is a sample, of so many scenarios.
_SAMPLED, _SCENARIOS = 10, 3
_KINDS = ", ".join(operation.name.lower() for operation in Operation if operation is not Operation.LOST)
type Cases = tuple[Case, ...]
ERRORS = (
    Fault(Action.ERROR, argument=errno.EIO),
    Fault(Action.ERROR, argument=errno.EIO, sticky=True),
    Fault(Action.ERROR, argument=errno.ENOSPC),
    Fault(Action.ERROR, argument=errno.ENOSPC, sticky=True),
    Fault(Action.SHORT),
    Fault(Action.SHORT, sticky=True),
)


def _stride(case: Case, stride: int) -> int:
    """Making a root is some 500 calls, most of them the same mkdir: a sample takes fewer of them."""
    return stride * 10 if case is MAKING and stride > 1 else stride


def _some(campaign: Campaign, cases: Cases, stride: int, family: str) -> Cases:
    """All scenarios; a sample takes three of them, others by each seed and family."""
    if stride < _SAMPLED or len(cases) <= _SCENARIOS:
        return cases
    return tuple(random.Random(f"{campaign.seed}/{family}").sample(cases, _SCENARIOS))


def kills(campaign: Campaign, cases: Cases, stride: int) -> None:
    for case in _some(campaign, cases, stride, "kills"):
        families.kills(campaign, case, stride=_stride(case, stride))


def torn(campaign: Campaign, cases: Cases, stride: int) -> None:
    for case in _some(campaign, cases, stride, "torn"):
        families.kills(campaign, case, stride=_stride(case, stride), action=Action.TORN)


def shutdowns(campaign: Campaign, cases: Cases, stride: int) -> None:
    for flag in (LOGFLUSH, NOLOGFLUSH):
        for case in _some(campaign, cases, stride, "shutdowns"):
            families.shutdowns(campaign, case, flag, stride=_stride(case, stride))


def forgetting(campaign: Campaign, cases: Cases, stride: int) -> None:
    for case in _some(campaign, cases, stride, "forgetting"):
        families.forgetting(campaign, case, tuple(Variant), stride=_stride(case, stride))


def promises(campaign: Campaign, cases: Cases, stride: int) -> None:
    for case in cases:
        families.forgetting(campaign, case, (Variant.LEAST,), stride=stride, promised=True)


def errors(campaign: Campaign, cases: Cases, stride: int) -> None:
    for fault in ERRORS:
        for case in _some(campaign, cases, stride, f"errors {fault}"):
            families.errors(campaign, case, fault, stride=_stride(case, stride))


def failed(campaign: Campaign, cases: Cases, stride: int) -> None:
    for case in _some(campaign, cases, stride, "failed"):
        families.failed_and_cut(campaign, case, Fault(Action.ERROR, argument=errno.EIO), stride=_stride(case, stride))


def again(campaign: Campaign, cases: Cases, stride: int) -> None:
    for case in _some(campaign, cases, stride, "again"):
        families.killed_and_cut(campaign, case, stride=_stride(case, stride))


def recoveries(campaign: Campaign, cases: Cases, stride: int) -> None:
    for fault in (Fault(Action.KILL), Fault(Action.ERROR, argument=errno.EIO)):
        for case in _some(campaign, cases, stride, "recoveries"):
            families.recoveries(campaign, case, fault, stride=_stride(case, stride))


def cuts(campaign: Campaign, _cases: Cases, count: int) -> None:
    families.random_cuts(campaign, count)


def scarcity(campaign: Campaign, _cases: Cases, times: int) -> None:
    for name in LACKS:
        for cut in (False, True):
            lacking(campaign, name, cut=cut, times=times)


def thin(campaign: Campaign, _cases: Cases, times: int) -> None:
    lost_writes(campaign, times)


def rots(campaign: Campaign, _cases: Cases, times: int) -> None:
    rot.objects(campaign, times)
    rot.database(campaign, times)


#: Each with what its number means: every so many calls, or so many cases.
FAMILIES: dict[str, Callable[[Campaign, Cases, int], None]] = {
    "kills": kills,
    "torn": torn,
    "shutdowns": shutdowns,
    "forgetting": forgetting,
    "promises": promises,
    "errors": errors,
    "failed": failed,
    "again": again,
    "cuts": cuts,
    "scarcity": scarcity,
    "thin": thin,
    "rot": rots,
    "recoveries": recoveries,
}

#: A few minutes, for CI; and hours.
SAMPLE: tuple[str, ...] = (
    *("promises=1", "kills=40", "torn=60", "shutdowns=60", "forgetting=80", "errors=60", "failed=60", "again=60"),
    *("cuts=8", "scarcity=1", "thin=1", "rot=1"),
)
LONG: tuple[str, ...] = (
    *("promises=1", "kills=1", "torn=1", "shutdowns=1", "forgetting=1", "errors=1", "failed=1", "again=1"),
    *("recoveries=5", "cuts=2000", "scarcity=10", "thin=20", "rot=100"),
)


def _sources() -> str:
    """What tells the store that is under test, and the harness that tests it, from all others."""
    package = Path(artifactstore.__file__).parent
    digest = hashlib.sha256()
    native = (path for form in ("native/**/*.[ch]", "asm/**/*.S") for path in package.parents[1].glob(form))
    for file in sorted((*package.rglob("*.py"), *native, *Path(__file__).parent.glob("*.[cp]*"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--run", action="append", metavar="FAMILY=N", help=", ".join(FAMILIES))
    parser.add_argument("--sample", dest="run", action="store_const", const=SAMPLE, help="a few minutes of all")
    parser.add_argument("--long", dest="run", action="store_const", const=LONG, help="everything; hours")
    parser.add_argument("--only", default="", metavar="SCENARIO,...", help="instead of all")
    parser.add_argument("--mutations", nargs="?", const="", metavar="TEXT", help="those whose names have the text")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--from", dest="start", type=int, default=1, metavar="CALL", help="where the calls begin")
    parser.add_argument("--calls", default="", metavar="KIND,...", help=f"only calls of these: {_KINDS}")
    parser.add_argument("--first", action="store_true", help="stop at the first finding")
    parser.add_argument("--counts", type=Path, help="write the counts of cases there, as JSON; go on after what it has")
    parser.add_argument("--seconds", type=float, default=inf, help="begin no case later; to be gone on with")
    arguments = parser.parse_args()
    if arguments.mutations is not None:
        return control(arguments.mutations)
    cases = tuple(case for case in ALL if not arguments.only or case[0].name in arguments.only.split(","))
    if not shim.preloaded():
        shim.run_again(shim.build(Path("build").absolute()))
    of = f"{arguments.run} {arguments.only} {arguments.seed} {arguments.start} {arguments.calls} {_sources()}"
    try:
        report = Report() if arguments.counts is None else Report.read(arguments.counts, of)
    except ValueError as error:
        parser.error(str(error))
    finished = False
    try:
        with (
            tempfile.TemporaryDirectory(prefix="crash-") as name,
            volume.memory(Path(name) / "work") as workspace,
            suppress(Stop),
        ):
            campaign = Campaign(
                *(workspace, shim.Shim(), report, arguments.seed),
                first=arguments.start,
                kinds=frozenset(Operation[kind.upper()] for kind in arguments.calls.split(",") if kind),
                stop_at_first=arguments.first,
                seconds=arguments.seconds,
            )
            for wanted in arguments.run or SAMPLE:
                family, _, number = wanted.partition("=")
                FAMILIES[family](campaign, cases, int(number or 1))
            finished = True
    finally:
        if arguments.counts:
            report.write(arguments.counts, of)
    end = "" if finished else ", NOT FINISHED"
    print(f"{sum(report.cases.values())} cases, {len(report.findings)} findings, seed {arguments.seed}{end}")
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())
