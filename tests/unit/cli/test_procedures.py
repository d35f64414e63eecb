"""What docs/operations.md says to do when something breaks, or moves, done as it says."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli

DATA = b"what was generated\n"


@pytest.fixture
def digests(cli: Cli, root: Path, work: Path) -> list[str]:
    """Three artifacts on a root that nobody holds."""
    found = []
    for number in range(3):
        (work / "file").write_bytes(DATA * (number + 1))
        ran = cli("put", "file", "--name", f"builds/{number}.txt", "--root", root, "--json").succeeded()
        found.append(str(ran.documents[0]["blake3"]))
    return found


def change(root: Path, statement: str) -> None:
    """As whatever else is on the machine could."""
    with closing(sqlite3.connect(root / "registry" / "log.sqlite3")) as connection:
        assert connection.execute(statement).rowcount == 1
        connection.commit()


def test_a_copy_of_a_stopped_root_is_that_root(cli: Cli, root: Path, work: Path, digests: list[str]) -> None:
    subprocess.run(["cp", "-a", root, work / "moved"], check=True)
    shutil.rmtree(root)
    cli("rebuild", "--verify", "--root", work / "moved").succeeded()
    assert cli("verify", *digests, "--root", work / "moved").succeeded().out.count("ok blake3:") == 3
    assert cli("get", "builds/0.txt", "-o", "-", "--root", work / "moved").succeeded().out == DATA.decode()
    (work / "moved").rename(work / "renamed")
    cli("put", "file", "--name", "builds/0.txt", "--root", work / "renamed").succeeded()


def test_a_view_that_differs_is_named_and_folded_anew(cli: Cli, root: Path, work: Path, digests: list[str]) -> None:
    change(root, "UPDATE objects SET size_bytes = size_bytes + 1 WHERE size_bytes = 38")
    assert "objects" in cli("rebuild", "--verify", "--root", root).failed()
    shutil.copytree(root / "registry", work / "registry")
    cli("rebuild", "--root", root).succeeded()
    cli("rebuild", "--verify", "--root", root).succeeded()
    cli("verify", *digests, "--root", root).succeeded()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM events WHERE seq = 2", "event 2 is missing from the log"),
        ("UPDATE events SET actor = 'somebody else' WHERE seq = 2", "event 2 is not what was recorded"),
    ],
)
def test_a_log_that_was_changed_is_named_and_its_backup_is_restored_beside_it(
    cli: Cli, root: Path, work: Path, digests: list[str], statement: str, said: str
) -> None:
    cli("backup", work / "backup", "--root", root).succeeded()
    cli("put", "file", "--name", "builds/later.txt", "--root", root).succeeded()
    change(root, statement)
    assert said in cli("rebuild", "--verify", "--root", root).failed()
    assert said in cli("rebuild", "--root", root).failed()
    cli("restore", work / "backup", "--root", work / "restored", "--verify").succeeded()
    cli("verify", *digests, "--root", work / "restored").succeeded()
    known = {line["seq"] for line in cli("events", "--root", work / "restored", "--json").succeeded().documents}
    still = cli("events", "--root", root, "--json", "--after", max(known)).succeeded().documents
    assert [line["seq"] for line in still] == [max(known) + 1], "what was recorded since can be looked at"
