"""Bytes that change by themselves, in objects, in the database and in its WAL.

An object that went bad must be found so by whoever verifies it, and be mended by an upload. A database that went bad
must be refused, or say so when it is checked, or do no harm: it must not tell something else in silence. A WAL that
went bad ends, for SQLite, at the last sound commit, and nothing in the root can tell that there was more; so what it
loses is counted and is no finding.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import ArtifactStoreError
from tests.crash import oracle, volume
from tests.crash.campaign import Base, Campaign
from tests.crash.driver import ROOT, Fault, Scenario, settings_of
from tests.crash.journal import Journal, Known
from tests.crash.operations import STORED, Act, Content
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


def swap(path: Path, dice: random.Random) -> None:
    """Another object lies there, and this one in its place."""
    others = [other for other in path.parents[1].rglob("*") if other.is_file() and other != path]
    other, aside = dice.choice(others), path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


ROTS: tuple[Rot, ...] = (flip, cut_short, zero, swap)


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
    for rot in ROTS:
        family = f"rot of objects: {rot.__name__}"
        with campaign.family(family):
            for number in campaign.unfinished(family, range(times)):
                dice = random.Random(f"{campaign.seed}/{family}/{number}")
                with campaign.in_memory(base):
                    campaign.begin()
                    known = campaign.known(base)
                    stored = [key for key, allowed in known.keys.items() if allowed == [STORED]]
                    content = Content.parse(dice.choice(stored).removeprefix("object/"))
                    files = campaign.place / ROOT / "objects/blake3" / content.blake3.hex[:2] / content.blake3.hex
                    rot(files, dice)
                    lines = campaign.lines(lambda content=content: _mends(campaign, content))  # type: ignore[misc]
                    campaign.count(family, f"{number}: {content.key}", lines)
                    if rot is not swap:
                        campaign.judge(campaign.known(base), family, f"{number}: {content.key}, mended")


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
    for name in ("log.sqlite3", "log.sqlite3-wal"):
        for rot in ROTS[:3]:
            family = f"rot of {name}: {rot.__name__}"
            with campaign.family(family):
                for number in campaign.unfinished(family, range(times)):
                    dice = random.Random(f"{campaign.seed}/{family}/{number}")
                    with campaign.in_memory(killed):
                        rot(campaign.place / ROOT / "registry" / name, dice)
                        outcome, lines = _outcome(campaign, known)
                        if name.endswith("-wal") and outcome == "silent":
                            outcome, lines = "ends early", []
                        campaign.report.cases[f"{family}: {outcome}"] += 1
                        campaign.count(family, str(number), lines if outcome in ("silent", "failed") else [])


def _outcome(campaign: Campaign, known: Known) -> tuple[str, list[str]]:
    lines = campaign.lines(lambda: _looks(campaign, known))
    return (lines[0], lines[1:]) if lines else ("failed", ["nothing was said"])


async def _looks(campaign: Campaign, known: Known) -> list[str]:
    """What becomes of a store on such a database: refused, detected, silent, or harmless; and what is not as known."""
    findings = Findings()
    root = campaign.place / ROOT
    try:
        async with open_local(settings_of(root), actor="local:crash") as store:
            try:
                if await store.registry.verify_views() is not None:
                    return ["detected"]
            except ArtifactStoreError:
                return ["detected"]
            await oracle.check(store, known, findings)
        oracle.check_database(root, known, findings)
    except ArtifactStoreError:
        return ["refused"]
    return ["silent", *findings.lines] if findings.lines else ["harmless"]
