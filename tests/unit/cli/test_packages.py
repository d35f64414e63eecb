"""`package seal`, `ingest`, `ls`, `show`, `export`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from artifactstore.remote import RemoteStore
from artifactstore.store import Store
from tests.unit.cli.conftest import Cli, running_gateway

FILES = {"junit.xml": b"<testsuite/>", "logs/run.log": b"all is well\n" * 1000, ".coverage": b"SQLite", "empty": b""}


@pytest.fixture(params=["root", "server"])
def where(request: pytest.FixtureRequest, root: Path) -> Iterator[list[str]]:
    if request.param == "root":
        yield ["--root", str(root)]
        return
    with running_gateway(root) as gateway:
        yield ["--server", gateway.url]


@pytest.fixture
def directory(work: Path) -> Path:
    path = work / "evidence"
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def one(cli: Cli, *arguments: object) -> dict[str, Any]:
    (document,) = cli(*arguments, "--json").succeeded().documents
    return document


def test_a_directory_becomes_a_package_and_a_file_that_is_verified(
    cli: Cli, where: list[str], directory: Path, work: Path
) -> None:
    said = ["--version", "1.0", "--completeness", "complete", "--producer", "pytest"]
    sealed = one(cli, "package", "ingest", directory, "ci/run", *said, *where)
    assert (sealed["created"], sealed["stored"], sealed["member_count"]) == (True, len(FILES), len(FILES))
    shown = one(cli, "package", "show", sealed["id"], *where)
    assert {item["name"]: item["sha256"] for item in shown["members"]} == {
        name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in FILES.items()
    }
    assert {item["name"]: item["media_type"] for item in shown["members"]}["logs/run.log"] == "text/plain"
    assert [item["id"] for item in cli("package", "ls", "ci/run", *where, "--json").documents] == [sealed["id"]]
    for form in ("bagit-zip", "bagit-tar", "oci"):
        file = work / form
        cli("package", "export", sealed["id"], "--format", form, "-o", file, *where).succeeded()
        assert sealed["manifest"]["sha256"] in cli("package", "verify", file).succeeded().out


def test_what_is_there_is_not_stored_again(cli: Cli, where: list[str], directory: Path) -> None:
    first = one(cli, "package", "ingest", directory, "ci/run", *where)
    again = one(cli, "package", "ingest", directory, "ci/run", *where)
    assert again == {**first, "created": False, "stored": 0}
    (directory / "more").write_bytes(b"more")
    more = one(cli, "package", "ingest", directory, "ci/run", "--supersedes", first["id"], *where)
    assert (more["stored"], more["supersedes"]) == (1, first["id"])


def test_with_metadata_the_files_are_artifacts_once(cli: Cli, where: list[str], directory: Path) -> None:
    said = ["--kind", "evidence", "--label", "project=x", "--provenance", '{"revision": "1f2e"}']
    sealed = one(cli, "package", "ingest", directory, "ci/run", *said, *where)
    one(cli, "package", "ingest", directory, "ci/run", *said, *where)
    found = cli("ls", "ci/run/", *where, "--json").succeeded().documents
    assert [(item["name"], item["version"]) for item in found] == [(f"ci/run/{name}"[3:], 1) for name in sorted(FILES)]
    assert {item["provenance"]["revision"] for item in found} == {"1f2e"}
    shown = one(cli, "package", "show", sealed["id"], *where)
    assert {item["artifact_id"] for item in shown["members"]} == {item["id"] for item in found}


def test_bytes_that_are_there_become_artifacts_without_being_sent(
    cli: Cli, where: list[str], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one(cli, "package", "ingest", directory, "ci/plain", *where)
    for store in (Store, RemoteStore):
        monkeypatch.setattr(store, "put_file", None)  # nobody may call it
    sealed = one(cli, "package", "ingest", directory, "ci/run", "--kind", "evidence", *where)
    assert sealed["stored"] == 0
    found = cli("ls", "ci/run/", "--kind", "evidence", *where, "--json").succeeded().documents
    assert len(found) == len(FILES)


def test_everything_that_no_package_can_hold_is_named_and_nothing_stored(
    cli: Cli, where: list[str], directory: Path
) -> None:
    (directory / "link").symlink_to("junit.xml")
    (directory / "a:b").write_bytes(b"")
    (directory / "nul").write_bytes(b"")
    ran = cli("package", "ingest", directory, "ci/run", *where)
    assert "nothing was stored" in ran.failed()
    assert [line.partition(": ")[0] for line in ran.out.splitlines()] == ["link", "a:b", "nul"]
    assert cli("events", *where).succeeded().out == ""
    excluded = [part for pattern in ("link", "a:*", "n?l") for part in ("--exclude", pattern)]
    cli("package", "ingest", directory, "ci/run", *excluded, *where).succeeded()


def test_names_that_collide_are_named_before_anything_is_stored(cli: Cli, root: Path, directory: Path) -> None:
    (directory / "JUnit.xml").write_bytes(b"")
    ran = cli("package", "ingest", directory, "ci/run", "--root", root)
    assert "junit.xml is JUnit.xml where case does not count" in ran.failed()
    assert not root.exists()


def test_a_directory_is_left_out_by_its_name_or_its_path(cli: Cli, root: Path, directory: Path) -> None:
    for path in ("deep/cache/1", "cache/2", "logs/cache.log"):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(b"")
    sealed = one(cli, "package", "ingest", directory, "ci/run", "--exclude", "cache", "--root", root)
    names = {item["name"] for item in one(cli, "package", "show", sealed["id"], "--root", root)["members"]}
    assert names == {*FILES, "logs/cache.log"}
    sealed = one(cli, "package", "ingest", directory, "ci/run", "--exclude", "deep/*", "--root", root)
    names = {item["name"] for item in one(cli, "package", "show", sealed["id"], "--root", root)["members"]}
    assert names == {*FILES, "logs/cache.log", "cache/2"}


def make_bag(directory: Path) -> Path:
    bag = directory.parent / "bag"
    bag.mkdir()
    directory.rename(bag / "data")
    (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (bag / "manifest-sha256.txt").write_text(
        "".join(f"{hashlib.sha256(data).hexdigest()}  data/{name}\n" for name, data in FILES.items())
    )
    return bag


def test_a_bag_is_its_payload(cli: Cli, where: list[str], directory: Path) -> None:
    plain = one(cli, "package", "ingest", directory, "ci/run", *where)
    bagged = one(cli, "package", "ingest", make_bag(directory), "ci/run", *where)
    assert (bagged["id"], bagged["created"]) == (plain["id"], False)


def test_each_difference_of_a_bag_is_named_and_nothing_is_sealed(cli: Cli, root: Path, directory: Path) -> None:
    bag = make_bag(directory)
    (bag / "data/junit.xml").write_bytes(b"<TESTsuite/>")
    (bag / "data/empty").unlink()
    (bag / "data/extra").write_bytes(b"")
    ran = cli("package", "ingest", bag, "ci/run", "--root", root, "--json")
    assert "nothing was stored" in ran.failed()
    assert {item["path"] for item in ran.documents[0]["findings"]} == {"data/junit.xml", "data/empty", "data/extra"}
    assert not root.exists()
    assert "a bag is taken whole" in cli("package", "ingest", bag, "ci/run", "--exclude", "x").failed(2)


def test_a_package_is_sealed_from_addresses(cli: Cli, where: list[str], directory: Path) -> None:
    put = one(cli, "put", directory / "junit.xml", "--name", "ci/results/junit.xml", *where)
    log = one(cli, "put", directory / "logs/run.log", *where)
    members = ["ci/results/junit.xml", f"copy={put['id']}", f"run.log={log['sha256']}"]
    sealed = one(cli, "package", "seal", "ci/run", *members, "--related", f"input={put['blake3']}", *where)
    shown = one(cli, "package", "show", sealed["id"], *where)
    assert [(item["name"], item["artifact_id"]) for item in shown["members"]] == [
        ("copy", put["id"]),
        ("junit.xml", put["id"]),
        ("run.log", None),
    ]
    nowhere = f"x=sha256:{'0' * 64}"
    assert "x cannot be sealed: there is no object" in cli("package", "seal", "ci/run", nowhere, *where).failed()


@pytest.mark.parametrize(
    "arguments",
    [
        ("seal", "run", "ci/a"),
        ("seal", "ci/run"),
        ("seal", "ci/run", f"sha256:{'0' * 64}"),
        ("seal", "ci/run", "a=b"),
        ("seal", "ci/run", "ci/a", "--related", "log"),
        ("seal", "ci/run", "ci/a", "--related", "log=1"),
        ("seal", "ci/run", "ci/a", "--producer-version", "1"),
        ("show", "1"),
        ("ls", "CI"),
        ("export", str(uuid4()), "--format", "rar"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cli: Cli, root: Path, arguments: tuple[str, ...]) -> None:
    cli("package", *arguments, "--root", root).failed(2)


def test_an_export_replaces_nothing_unasked(cli: Cli, root: Path, directory: Path, work: Path) -> None:
    sealed = one(cli, "package", "ingest", directory, "ci/run", "--root", root)
    written = one(cli, "package", "export", sealed["id"], "--format", "oci", "--root", root)
    assert (work / written["output"]).stat().st_size == written["size_bytes"]
    again = ["package", "export", sealed["id"], "--format", "oci", "--root", root]
    assert "--force replaces it" in cli(*again).failed()
    cli(*again, "--force").succeeded()
    assert "there is no package" in cli("package", "export", uuid4(), "--format", "oci", "--root", root).failed()
