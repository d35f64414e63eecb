"""Every command, over a root and through a server, in words and in JSON."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import click
import pytest

from artifactstore.cli import commands
from tests.unit.cli.conftest import Cli, Running

DATA = b"what was generated\n" * 100
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
PROJECT = Path(__file__).parents[3]

UPLOAD = ["blake3", "sha256", "size_bytes", "created"]
RECORD = [
    "id",
    "namespace",
    "name",
    "version",
    "kind",
    "media_type",
    "labels",
    "provenance",
    "provenance_text",
    "retention",
    "blake3",
    "sha256",
    "size_bytes",
    "created_at",
    "created_by",
    "revision",
    "deleted",
]


def test_every_command_in_json(cli: Cli, target: list[str], work: Path) -> None:
    source = work / "source.txt"
    source.write_bytes(DATA)

    def run(*arguments: object) -> list[dict[str, object]]:
        return cli(*arguments, *target, "--json").succeeded().documents

    (bare,) = run("put", source, "--expect", SHA256)
    assert (list(bare), bare["created"], bare["sha256"]) == (UPLOAD, True, SHA256)
    (put,) = run(
        *("put", source, "--name", "ci/log/ü &?.txt", "--kind", "log", "--retention", "year"),
        *("--label", "team=qualité", "--label", "x=a=b", "--provenance", '{"n": 1e400, "s": "\\ud800"}'),
    )
    assert sorted(put) == sorted({*RECORD, *UPLOAD})
    assert (put["namespace"], put["name"], put["version"]) == ("ci", "log/ü &?.txt", 1)
    assert (put["kind"], put["media_type"], put["retention"]) == ("log", "text/plain", "year")
    assert put["labels"] == {"team": "qualité", "x": "a=b"}
    assert put["provenance_text"] == '{"n": 1e400, "s": "\\ud800"}'
    assert (put["created"], put["size_bytes"]) == (False, len(DATA))
    (got,) = run("get", "ci/log/ü &?.txt")
    assert got == {"blake3": put["blake3"], "size_bytes": len(DATA), "output": "ü &?.txt"}
    assert (work / "ü &?.txt").read_bytes() == DATA
    (listed,) = run("ls", "ci/log/")
    assert list(listed) == RECORD
    assert listed == {key: put[key] for key in RECORD}
    assert run("ls", "ci/nothing") == []
    assert run("show", "ci/log/ü &?.txt") == [{**listed, "attestations": []}]
    assert run("show", put["id"]) == [{**listed, "attestations": []}]
    assert run("show", SHA256) == [{**{key: bare[key] for key in UPLOAD[:3]}, "state": "live"}]
    (verified,) = run("verify", put["id"])
    assert verified == {
        **{key: bare[key] for key in UPLOAD[:3]},
        "verified": True,
        "reason": None,
        "actual_blake3": bare["blake3"],
        "actual_sha256": SHA256,
        "actual_size_bytes": len(DATA),
    }
    cli("rm", SHA256, *target).failed()
    assert run("rm", "ci/log/ü &?.txt") == [{"deleted": "ci/log/ü &?.txt"}]
    assert run("rm", SHA256) == [{"deleted": SHA256}]
    events = run("events")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"object.stored", "object.deleted"} <= {str(event["type"]) for event in events}
    assert run("events", "--after", 2, "--limit", 1) == events[2:3]


def test_every_command_in_words(cli: Cli, target: list[str], work: Path) -> None:
    source = work / "source.bin"
    source.write_bytes(DATA)
    out = cli("put", source, "--name", "default/a/b", *target).succeeded().out
    assert re.fullmatch(rf"blake3:[0-9a-f]{{64}}  {len(DATA)}  default/a/b version 1\n", out)
    assert re.search(rf"^ +1 +{len(DATA)} .* default/a/b$", cli("ls", *target).succeeded().out)
    shown = cli("show", "default/a/b", *target, "--retrievals").succeeded().out
    assert re.search(r"^media_type +application/octet-stream$", shown, re.MULTILINE)
    assert re.search(r"^retrievals +\[\]$", shown, re.MULTILINE)
    assert cli("get", "default/a/b", "-o", "copy", *target).succeeded().out.endswith("  copy\n")
    assert (work / "copy").read_bytes() == DATA
    assert cli("get", SHA256, "-o", "-", *target).succeeded().out.encode() == DATA
    assert cli("get", SHA256, "-o", "-", "--range", "5-9", *target).succeeded().out.encode() == DATA[5:10]
    assert cli("verify", "default/a/b", SHA256, *target).succeeded().out.count("ok blake3:") == 2
    assert cli("rm", "default/a/b", *target).succeeded().out == "deleted default/a/b\n"
    assert cli("rm", SHA256, *target).succeeded().out == f"deleted {SHA256}\n"
    assert len(cli("events", *target).succeeded().out.splitlines()) >= 4


def test_reading_an_artifact_by_its_id_is_a_retrieval_of_it(cli: Cli, target: list[str]) -> None:
    (put,) = cli("put", "-", "--name", "default/a", *target, "--json", stdin=DATA).documents
    cli("put", "-", "--name", "default/a", *target, stdin=b"newer").succeeded()
    assert cli("get", put["id"], "-o", "-", *target).succeeded().out.encode() == DATA
    (shown,) = cli("show", put["id"], "--retrievals", *target, "--json").documents
    (retrieval,) = shown["retrievals"]
    assert (retrieval["artifact_id"], retrieval["count"], retrieval["size_bytes"]) == (put["id"], 1, len(DATA))


def test_pages_are_joined_and_limited(cli: Cli, target: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artifactstore.cli.records._PAGE", 2)
    for number in range(5):
        cli("put", "-", "--name", f"default/{number}", *target, stdin=b"x").succeeded()

    def names(*arguments: object) -> list[object]:
        return [item["name"] for item in cli("ls", *arguments, *target, "--json").succeeded().documents]

    assert names() == names("default") == names("default/") == ["0", "1", "2", "3", "4"]
    for limit in (1, 2, 3, 5, 9):
        assert names("--limit", limit) == ["0", "1", "2", "3", "4"][:limit]
        assert len(cli("events", "--limit", limit, *target, "--json").documents) == min(limit, 5 + 1)


def test_damage_is_shown_named_and_mended(cli: Cli, target: list[str], root: Path) -> None:
    (put,) = cli("put", "-", "--name", "default/a", *target, "--json", stdin=DATA).documents
    digest = put["blake3"].removeprefix("blake3:")
    copy = root / "objects" / "blake3" / digest[:2] / digest
    copy.chmod(0o640)
    copy.write_bytes(b"?" + DATA[1:])
    ran = cli("verify", "default/a", *target)
    assert "mends it" in ran.failed()
    assert ran.out == f"DAMAGED blake3:{digest}: digest-mismatch\n"
    (shown,) = cli("show", put["blake3"], *target, "--json").succeeded().documents
    assert (shown["state"], shown["size_bytes"]) == ("damaged", len(DATA))
    assert "damaged" in cli("get", "default/a", "-o", "copy", *target).failed()
    assert not Path("copy").exists()
    cli("put", "-", *target, stdin=DATA).succeeded()
    cli("verify", "default/a", *target).succeeded()


def test_a_root_that_a_gateway_holds_is_read_and_not_written(
    cli: Cli, running: Running, root: Path, work: Path
) -> None:
    (put,) = cli("put", "-", "--name", "default/a", "--server", running.url, "--json", stdin=DATA).documents
    beside = ["--root", str(root)]
    for command in ("ls", "events", ("show", "default/a"), ("show", SHA256), ("show", put["id"], "--retrievals")):
        arguments = [command] if isinstance(command, str) else command
        assert cli(*arguments, *beside).succeeded().out
    assert cli("get", "default/a", "-o", "-", *beside).succeeded().out.encode() == DATA
    cli("get", put["id"], *beside).succeeded()
    assert (work / "a").read_bytes() == DATA
    assert cli("rebuild", "--verify", *beside).succeeded().out.startswith("verified from ")
    for writing in (("put", "-"), ("rm", "default/a"), ("verify", "default/a"), ("rebuild",)):
        assert "in use by process" in cli(*writing, *beside, stdin=b"new").failed()
    assert "in use by process" in cli("serve", "--port", 0, *beside).failed()


def test_an_empty_root_is_made_wherever_the_command_is_started(cli: Cli, work: Path) -> None:
    assert cli("ls").succeeded().out == ""
    assert (work / "var" / "format").exists()
    cli("events", "--root", work / "new" / "er").succeeded()
    assert (work / "new" / "er" / "format").exists()


def test_rebuild(cli: Cli, root: Path) -> None:
    cli("put", "-", "--name", "default/a", "--root", root, stdin=DATA).succeeded()
    (verified,) = cli("rebuild", "--verify", "--root", root, "--json").succeeded().documents
    assert verified == {"verified": True, "events": verified["events"]}
    (rebuilt,) = cli("rebuild", "--root", root, "--json").succeeded().documents
    assert rebuilt == {"rebuilt": True, "events": verified["events"]}
    assert "--root" in cli("rebuild", "--server", "http://127.0.0.1:9").failed(2)


# --- what it says of itself -----------------------------------------------------------------------------------------


COMMANDS = {
    **{name: command for name, command in commands.commands.items() if not isinstance(command, click.Group)},
    **{
        f"{name} {inner}": command
        for name, group in commands.commands.items()
        if isinstance(group, click.Group)
        for inner, command in group.commands.items()
    },
}
#: Those that work on something else than a root or a server.
TARGETS = {"serve": {"--root"}, "package verify": {"--json"}}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_explains_itself_and_is_documented(cli: Cli, name: str) -> None:
    command = COMMANDS[name]
    help_text = cli(*name.split(), "--help").succeeded().out
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in help_text
            assert parameter.help[0].isupper()
            assert parameter.help.endswith((".", ")"))
    options = {option for parameter in command.params for option in parameter.opts}
    assert options >= TARGETS.get(name, {"--root", "--server", "--json"})
    section = (PROJECT / "docs" / "operations.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert re.search(rf"^\| `{name}\b", section, re.MULTILINE), f"docs/operations.md, Commands, lacks {name}"
    for option in options - {"--root", "--server", "--json", "-o", "--output"}:
        if option.startswith("--"):
            assert f"`{option}" in section or f" {option}" in section, option


def test_the_commands_of_this_version() -> None:
    expected = {"serve", "put", "get", "ls", "show", "label", "attest", "verify", "rm", "events", "rebuild", "package"}
    assert set(commands.commands) == expected | {"bench", "token", "backup", "restore"}


def test_it_tells_its_version(cli: Cli) -> None:
    assert json.dumps(cli("--version").succeeded().out).startswith('"artifactstore, version ')
    assert cli().status == 2
