"""`backup` and `restore`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli, Running

DATA = b"what was generated\n"


@pytest.fixture
def stored(cli: Cli, root: Path, work: Path) -> str:
    (work / "file").write_bytes(DATA)
    ran = cli("put", "file", "--name", "builds/a.txt", "--root", root, "--json").succeeded()
    return str(ran.documents[0]["blake3"])


def test_a_root_is_backed_up_and_restored(cli: Cli, root: Path, work: Path, stored: str) -> None:
    ran = cli("backup", work / "backup", "--root", root, "--json").succeeded()
    (document,) = ran.documents
    assert (document["objects"], document["copied"], document["missing"]) == (1, 1, [])
    ran = cli("backup", work / "backup", "--root", root, "--verify").succeeded()
    assert "backed up 1 objects (19 bytes)" in ran.out
    assert "copied 0" in ran.out
    ran = cli("restore", work / "backup", "--root", work / "again", "--verify").succeeded()
    assert ran.out.startswith("restored and verified 1 objects (19 bytes) up to event ")
    assert cli("get", "builds/a.txt", "--root", work / "again", "-o", "-").succeeded().out == DATA.decode()
    ran = cli("restore", work / "backup", "--root", work / "third", "--json").succeeded()
    assert (ran.documents[0]["verified"], ran.documents[0]["missing"]) == (False, [])


def test_it_works_beside_a_gateway_and_not_through_one(cli: Cli, root: Path, work: Path, running: Running) -> None:
    (work / "file").write_bytes(DATA)
    cli("put", "file", "--server", running.url).succeeded()
    cli("backup", work / "backup", "--root", root).succeeded()
    assert "works on a root, not through a server" in cli("backup", work / "b", "--server", running.url).failed(2)
    assert "works on a root, not through a server" in cli("restore", work, "--server", running.url).failed(2)
    assert "is a root already" in cli("restore", work / "backup", "--root", root).failed()


def test_what_is_damaged_is_a_line_each_and_status_1(cli: Cli, root: Path, work: Path, stored: str) -> None:
    file = root / "objects" / "blake3" / stored[7:9] / stored[7:]
    file.unlink()
    ran = cli("backup", work / "backup", "--root", root)
    assert (ran.status, ran.err.splitlines()[0]) == (1, f"MISSING {stored}: missing")
    assert ran.err.splitlines()[1].startswith("artifactstore: the backup lacks what is damaged")
    ran = cli("restore", work / "backup", "--root", work / "again", "--verify", "--json")
    assert (ran.status, ran.documents[0]["missing"]) == (1, [{"digest": stored, "reason": "missing"}])


def test_what_is_no_root_or_no_backup_is_one_line(cli: Cli, root: Path, work: Path, stored: str) -> None:
    assert "nothing to back up" in cli("backup", work / "backup", "--root", work / "none").failed()
    assert "lie within each other" in cli("backup", root / "backup", "--root", root).failed()
    assert "is not a backup" in cli("restore", work, "--root", work / "again").failed()
    assert not (work / "again").exists()
    cli("restore", work / "none", "--root", work / "again").failed(2)
