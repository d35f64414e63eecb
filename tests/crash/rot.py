"""Bytes that change by themselves, in objects, in the database and in its WAL.

An object that went bad must be found so by whoever verifies it, and be mended by an upload. A database that went bad
must be refused, or say so when it is checked, or do no harm: it must not tell something else in silence. A WAL that
went bad ends, for SQLite, at the last sound commit, and nothing in the root can tell that there was more; so what
lies beyond its head is counted and is no finding; what is left must be a sound beginning, on which a store opens.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.store import Store
from tests.crash import oracle, volume
from tests.crash.campaign import Base, Campaign
from tests.crash.driver import ROOT, Fault, Scenario, settings_of
from tests.crash.journal import ABSENT, Journal, Known
from tests.crash.operations import DAMAGED, STORED, Act, Content
from tests.crash.oracle import Findings

PAGE = 4096
type Rot = Callable[[Path, random.Random], None]


def flip(path: Path, dice: random.Random) -> None:
    """One bit."""
    _change(path, dice.randrange(path.stat().st_size), lambda byte: byte ^ 1 << dice.randrange(8))


def cut_short(path: Path, dice: random.Random) -> None:
    """Everything from some byte on."""
    size = dice.randrange(path.stat().st_size)
    path.chmod(0o640)
    with path.open("r+b") as file:
        file.truncate(size)


def zero(path: Path, dice: random.Random) -> None:
    """One page."""
    data = bytearray(path.read_bytes())
    begin = dice.randrange(len(data)) // PAGE * PAGE
    data[begin : begin + PAGE] = bytes(len(data[begin : begin + PAGE]))
    _write(path, data)


def swap(path: Path, other: Path) -> None:
    """Another object lies there, and this one in its place."""
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


ROTS: tuple[Rot, ...] = (flip, cut_short, zero)
#: What a database on bad bytes may come to; all else is a finding.
LOUD = ("refused", "detected")


def _change(path: Path, place: int, how: Callable[[int], int]) -> None:
    data = bytearray(path.read_bytes())
    data[place] = how(data[place])
    _write(path, data)


def _write(path: Path, data: bytes | bytearray) -> None:
    path.chmod(0o640)
    path.write_bytes(data)


def objects(campaign: Campaign, times: int) -> None:
    """A stored object goes bad; it is found, an upload mends it, and everything is as it was."""
    base = campaign.base("filled")
    for rot in (*ROTS, None):
        family = f"rot of objects: {rot.__name__ if rot else 'swap'}"
        with campaign.family(family):
            for number in campaign.unfinished(family, range(times)):
                dice = random.Random(f"{campaign.seed}/{family}/{number}")
                with campaign.in_memory(base):
                    campaign.begin()
                    known = campaign.known(base)
                    stored = [key for key, allowed in known.keys.items() if allowed == [STORED]]
                    spoilt = dice.sample(stored, 1 if rot else 2)
                    contents = [Content.parse(key.removeprefix("object/")) for key in spoilt]
                    files = [_file_of(campaign, content) for content in contents]
                    if rot:
                        rot(files[0], dice)
                    else:
                        swap(*files)
                    case = f"{number}: {' and '.join(spoilt)}"
                    lines = campaign.lines(lambda contents=contents: _mend(campaign, contents))  # type: ignore[misc]
                    campaign.count(family, case, lines, fired=False)
                    campaign.judge(campaign.known(base), family, f"{case}, mended")


def _file_of(campaign: Campaign, content: Content) -> Path:
    return campaign.place / ROOT / "objects/blake3" / content.blake3.hex[:2] / content.blake3.hex


async def _mend(campaign: Campaign, contents: list[Content]) -> list[str]:
    return [line for content in contents for line in await _mends(campaign, content)]


async def _mends(campaign: Campaign, content: Content) -> list[str]:
    findings = Findings()
    async with open_local(settings_of(campaign.place / ROOT), actor="local:crash") as store:
        journal = Journal(campaign.journal)
        act = Act(store, journal, campaign.place / ROOT, "mends")
        found = await store.verify_object(content.sha256)
        findings.require(not found.verified, "a bad copy is verified")
        try:
            async with await store.open_object(content.sha256) as opened:
                read = b"".join([chunk async for chunk in opened.chunks()])
            findings.require(read == content.data, "a copy that is marked damaged is served")
        except ArtifactStoreError:
            pass
        await act.put(content)
        findings.require((await store.verify_object(content.sha256)).verified, "an upload does not mend")
    return findings.lines


def database(campaign: Campaign, times: int) -> None:
    """The database, or the WAL of a killed process, goes bad."""
    base = campaign.base("filled")
    killed = Base("killed", campaign.workspace / "killed", base.journal, base.image)
    with campaign.in_memory(base):
        scenario = Scenario("all", ("put_new", "versions", "seal", "labels", "token", "delete"), at_open=False)
        campaign.perform(scenario, Fault(), "rot", kill_at_end=True)
        known = campaign.known(base)
        volume.renew(killed.tree)
        volume.copy_tree(campaign.place, killed.tree)
        leaves = _leaves(campaign.place / ROOT)
    for name in ("log.sqlite3", "log.sqlite3-wal"):
        for rot in ROTS:
            family = f"rot of {name}: {rot.__name__}"
            with campaign.family(family):
                for number in campaign.unfinished(family, range(times)):
                    dice = random.Random(f"{campaign.seed}/{family}/{number}")
                    with campaign.in_memory(killed):
                        rot(campaign.place / ROOT / "registry" / name, dice)
                        outcome, lines = _outcome(campaign, known, leaves if name.endswith("-wal") else None)
                        campaign.count(f"{family}: {outcome}", str(number), lines)


def _outcome(campaign: Campaign, known: Known, leaves: list[str] | None) -> tuple[str, list[str]]:
    """The verdict and, unless it is a good one, what is wrong. Whatever else a child ends with has failed."""
    if leaves is None:
        lines = campaign.lines(lambda: _looks_at_database(campaign, known))
    else:
        lines = campaign.lines(lambda: _looks_at_wal(campaign, known, leaves))
    match lines:
        case [verdict] if verdict in (*LOUD, "harmless", "ends early"):
            return verdict, []
        case ["silent", *rest]:
            return "silent", rest
        case _:
            return "failed", lines or ["nothing was said"]


async def _looks_at_database(campaign: Campaign, known: Known) -> list[str]:
    """What becomes of a store on a bad database: refused, detected, silent, or harmless; and what is not as known.

    SQLite's own error out of the store is none of these: the store has to say it in its own words.
    """
    findings, root = Findings(), campaign.place / ROOT
    try:
        async with open_local(settings_of(root), actor="local:crash") as store:
            if not await _views_hold(store):
                return ["detected"]
            await oracle.check(store, known, findings)
    except ArtifactStoreError:
        return ["refused"]
    try:
        oracle.check_database(root, known, findings)
    except sqlite3.DatabaseError:  # it reads without the store: SQLite itself says so
        return ["detected"]
    return ["silent", *findings.lines] if findings.lines else ["harmless"]


async def _looks_at_wal(campaign: Campaign, known: Known, leaves: list[str]) -> list[str]:
    """The same of a bad WAL. It may end early; what is left must be a beginning of the log, `leaves`, and must open."""
    findings, begin, root = Findings(), Findings(), campaign.place / ROOT
    left = _leaves_of_copy(campaign, root)
    if left != leaves[: len(left)]:
        return ["silent", "what is left of the log is no beginning of it"]
    async with open_local(settings_of(root), actor="local:crash") as store:
        begin.require(await _views_hold(store), "the log is corrupt, or the views are not what it folds into")
        await oracle.check(store, known, findings)
    oracle.check_database(root, known, findings)
    oracle.check_database(root, _beyond(known), begin)
    if begin.lines:
        return ["silent", *begin.lines]
    return ["ends early"] if findings.lines else ["harmless"]


async def _views_hold(store: Store) -> bool:
    """Whether the log is sound and the views are what it folds into."""
    try:
        return await store.registry.verify_views() is None
    except ArtifactStoreError:
        return False


def _leaves(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "registry" / "log.sqlite3")) as connection:
        return [leaf.hex() for (leaf,) in connection.execute("SELECT leaf FROM events ORDER BY seq")]


def _leaves_of_copy(campaign: Campaign, root: Path) -> list[str]:
    """Before a start adds events of its own; of a copy, since looking at a WAL is the end of it."""
    copy = campaign.workspace / "looked-at"
    volume.renew(copy)
    (copy / "registry").mkdir()
    volume.copy_tree(root / "registry", copy / "registry")
    return _leaves(copy)


def _beyond(known: Known) -> Known:
    """What a lost end of the log excuses: bytes that are deleted without an event, and bytes without one of a put."""
    objects = {key: allowed for key, allowed in known.keys.items() if key.startswith("object/")}
    gone = {key: [DAMAGED] for key, allowed in objects.items() if ABSENT in allowed}
    return Known(keys=gone, unanswered={key: [STORED] for key in objects})
