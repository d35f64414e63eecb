"""Search, labels, lineage and statements on the command line, over a root and through a server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli

DATA = b"what was generated\n" * 100
SHA256 = hashlib.sha256(DATA).hexdigest()


def put(cli: Cli, target: list[str], name: str, *options: str, data: bytes = DATA) -> dict[str, object]:
    (document,) = cli("put", "-", "--name", name, *options, *target, "--json", stdin=data).succeeded().documents
    return document


def test_ls_finds_by_everything(cli: Cli, target: list[str]) -> None:
    first = put(cli, target, "ci/log/a", "--kind", "log", "--label", "team=qa", "--label", "n=1", data=b"a")
    put(cli, target, "ci/log/b", "--kind", "log", "--label", "team=dev", "--media-type", "text/plain", data=b"bb")
    put(cli, target, "other/c", data=b"ccc")
    for options, expected in (
        (["ci"], ["log/a", "log/b"]),
        (["ci/log/", "--kind", "log", "--label", "team"], ["log/a", "log/b"]),
        (["--label", "team=qa", "--label", "n"], ["log/a"]),
        (["--name", "log/b"], ["log/b"]),
        (["--media-type", "text/plain"], ["log/b"]),
        (["--digest", str(first["sha256"])], ["log/a"]),
        (["--size-min", "2", "--size-max", "2"], ["log/b"]),
        (["--created-before", "2001-01-01T00:00:00+02:00"], []),
        (["--created-after", str(first["created_at"]), "--limit", "2"], ["log/a", "log/b"]),
    ):
        found = cli("ls", *options, *target, "--json").succeeded().documents
        assert [item["name"] for item in found] == expected, options
    for options in (["--kind", "A"], ["--label", "=x"], ["--created-after", "yesterday"], ["--digest", "x"]):
        assert cli("ls", *options, *target).failed(2)


def test_bytes_that_are_stored_get_a_name(cli: Cli, target: list[str]) -> None:
    cli("put", "-", *target, stdin=DATA).succeeded()
    digest = f"sha256:{SHA256}"
    options = ["--digest", digest, "--name", "ci/a.txt", "--label", "x=1"]
    (made,) = cli("put", *options, *target, "--json").succeeded().documents
    assert (made["sha256"], made["media_type"], made["labels"], made["created"]) == (
        digest,
        "text/plain",
        {"x": "1"},
        False,
    )
    out = cli("put", "--digest", digest, "--name", "ci/a.txt", *target).succeeded().out
    assert out.endswith("  ci/a.txt version 2\n")
    assert "there is no object" in cli("put", "--digest", f"sha256:{'0' * 64}", "--name", "ci/b", *target).failed()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--digest", f"sha256:{SHA256}"],
        ["-", "--digest", f"sha256:{SHA256}", "--name", "ci/a"],
        ["--digest", f"sha256:{SHA256}", "--name", "ci/a", "--expect", f"sha256:{SHA256}"],
    ],
)
def test_a_put_is_of_a_file_or_of_a_digest(cli: Cli, options: list[str], root: Path) -> None:
    assert cli("put", *options, "--root", root).failed(2)


def test_labels_are_set_and_taken_away(cli: Cli, target: list[str]) -> None:
    made = put(cli, target, "ci/a", "--label", "a=1", "--label", "b=2")
    assert cli("label", "ci/a", "a=x=y", "b-", "c=", *target).succeeded().out == "a=x=y\nc=\n"
    (document,) = cli("label", made["id"], "a-", "c-", *target, "--json").succeeded().documents
    assert (document["labels"], document["revision"]) == ({}, 3)
    assert cli("label", "ci/a", "never-", *target).succeeded().out == "no labels\n"
    for changes in (["a"], ["a=1", "a-"], ["=1"], ["-"], ["a b=1"], []):
        assert cli("label", "ci/a", *changes, *target).failed(2), changes
    assert cli("label", str(made["blake3"]), "a=1", *target).failed(2)
    assert cli("label", "ci/none", "a=1", *target).failed(1)


def test_labels_are_set_on_the_revision_that_was_seen(cli: Cli, target: list[str]) -> None:
    put(cli, target, "ci/a")
    (seen,) = cli("label", "ci/a", "n=1", "--if-match", "1", *target, "--json").succeeded().documents
    assert seen["revision"] == 2
    assert "the artifact is at revision 2" in cli("label", "ci/a", "n=2", "--if-match", "1", *target).failed()
    cli("label", "ci/a", "n=2", "--if-match", "0", *target).failed(2)


def test_show_tells_of_sources_and_of_what_was_derived(cli: Cli, target: list[str]) -> None:
    source = put(cli, target, "ci/source", data=b"source")
    middle = put(cli, target, "ci/middle", "--provenance", json.dumps({"inputs": [source["id"]]}), data=b"middle")
    put(cli, target, "ci/end", "--provenance", json.dumps({"inputs": [middle["sha256"]]}), data=b"end")
    out = cli("show", "ci/end", "--sources", "--depth", "2", *target).succeeded().out
    assert (
        f"sources:\n  ci/end version 1 from {middle['sha256']}\n    ci/middle version 1 from ci/source version 1\n"
        in out
    )
    (shown,) = cli("show", "ci/source", "--derived", *target, "--json").succeeded().documents
    assert [item["name"] for item in shown["derived"]["artifacts"]] == ["source", "middle"]
    assert "sources" not in shown
    assert cli("show", "ci/end", "--sources", "--depth", "33", *target).failed(2)


def test_a_statement_is_attached_and_shown(cli: Cli, target: list[str], work: Path) -> None:
    put(cli, target, "ci/a")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": SHA256}}],
        "predicateType": "https://example.org/tested/v1",
    }
    (work / "tested.json").write_text(json.dumps(statement))
    out = cli("attest", "ci/a", "tested.json", *target).succeeded().out
    assert out.endswith("  unsigned  https://example.org/tested/v1\n")
    (again,) = cli("attest", "ci/a", "-", *target, "--json", stdin=json.dumps(statement).encode()).documents
    assert not again["created"]
    (shown,) = cli("show", "ci/a", *target, "--json").succeeded().documents
    assert [item["statement"] for item in shown["attestations"]] == [again["statement"]] == [out.split()[0]]
    assert "no subject" in cli("attest", put(cli, target, "ci/b", data=b"b")["id"], "tested.json", *target).failed()
    assert cli("attest", f"sha256:{SHA256}", "tested.json", *target).failed(2)
