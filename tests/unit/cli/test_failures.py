"""What goes wrong is one line and an exit status: 1 it failed, 2 it was not meant."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli, Ran, Running

DATA = b"what was generated\n"
DIGEST = "sha256:" + "0a" * 32


NOT_MEANT = [
    ["nothing"],
    ["put"],
    ["put", "missing.txt"],
    ["put", "."],
    ["put", "file", "--name", "no-slash"],
    ["put", "file", "--name", "Bad/name"],
    ["put", "file", "--name", DIGEST],
    ["put", "file", "--name", "a/b", "--namespace", "c"],
    ["put", "file", "--kind", "report"],
    ["put", "file", "--name", "a/b", "--label", "none"],
    ["put", "file", "--expect", "md5:00"],
    ["get", "sha256:00"],
    ["get", DIGEST],
    ["get", "what"],
    ["get", "a/b", "--range", "9-1"],
    ["get", "a/b", "--range", "-5"],
    ["get", "a/b", "-o", "."],
    ["ls", "--limit", "0"],
    ["ls", "--root", "a", "--server", "http://127.0.0.1:9"],
    ["rm", "00000000-0000-0000-0000-000000000000"],
    ["show", "a/../b"],
    ["verify"],
    ["events", "--after", "-1"],
    ["rebuild", "--server", "http://127.0.0.1:9"],
    ["serve", "--port", "many"],
    ["put", "file", "--name", "a/b", "--kind", "NO"],
    ["put", "file", "--name", "a/b", "--provenance", "[]"],
    ["put", "file", "--namespace", "NO"],
    ["ls", "NO"],
    ["ls", "--server", "127.0.0.1:8000"],
    ["serve", "--workers", "0"],
    ["serve", "--port", "65536"],
    ["put", "file", "--name", "a/b", "--media-type", "zz"],
]


def test_what_is_not_meant_is_status_2(cli: Cli, work: Path) -> None:
    (work / "file").write_bytes(DATA)
    for arguments in NOT_MEANT:
        assert "--help says more" in cli(*arguments).failed(2), arguments
        assert {path.name for path in work.iterdir()} <= {"file", "var"}


FAILING = [
    ["put", "file", "--expect", DIGEST],
    ["put", "file", "--name", "a/b", "--provenance", "@missing.json"],
    ["put", "file", "--name", "a/b", "--provenance", "@latin"],
    ["get", "a/b"],
    ["get", DIGEST, "-o", "copy"],
    ["get", "00000000-0000-0000-0000-000000000000"],
    ["get", "a/present", "-o", "file"],
    ["get", "a/present", "-o", "missing/copy"],
    ["get", "a/present", "-o", "copy", "--range", "0-100"],
    ["show", "a/b"],
    ["rm", DIGEST],
    ["verify", DIGEST],
    ["ls", "--server", "http://127.0.0.1:9"],
    ["ls", "--server", "http://no-such-host.invalid"],
    ["ls", "--root", "foreign"],
    ["serve", "--host", "0.0.0.0"],
    ["serve", "--host", "::"],
    ["serve", "--root", "foreign"],
]


def test_what_fails_is_status_1(cli: Cli, work: Path) -> None:
    (work / "file").write_bytes(DATA)
    (work / "latin").write_bytes(b'{"a": "\xe9"}')
    (work / "foreign").mkdir()
    (work / "foreign" / "thing").touch()
    cli("put", "file", "--name", "a/present").succeeded()
    for arguments in FAILING:
        cli(*arguments).failed()
        assert (work / "file").read_bytes() == DATA
        assert {path.name for path in work.iterdir()} == {"file", "latin", "foreign", "var"}, arguments


@contextlib.contextmanager
def database(root: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(root / "registry" / "log.sqlite3")) as connection:
        yield connection
        connection.commit()


def test_a_database_newer_than_the_code(cli: Cli, root: Path) -> None:
    cli("put", "-", "--root", root, stdin=DATA).succeeded()
    with database(root) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_later'")
    for command in (["ls"], ["put", "-"], ["rebuild", "--verify"], ["serve", "--port", "0"]):
        assert "9999_later" in cli(*command, "--root", root).failed()


def test_an_older_root_is_migrated_by_whatever_command_comes_first(cli: Cli, root: Path) -> None:
    cli("put", "-", "--name", "default/a", "--root", root, stdin=DATA).succeeded()
    with database(root) as connection:
        connection.execute("UPDATE meta SET value = '0' WHERE key = 'views_version'")
    assert "default/a" in cli("ls", "--root", root).succeeded().out
    cli("rebuild", "--verify", "--root", root).succeeded()


def test_rebuild_verify_names_the_first_difference_and_changes_nothing(cli: Cli, root: Path) -> None:
    cli("put", "-", "--name", "default/a", "--root", root, stdin=DATA).succeeded()
    with database(root) as connection:
        connection.execute("UPDATE artifacts SET kind = 'planted'")
    for _ in range(2):
        line = cli("rebuild", "--verify", "--root", root).failed()
        assert "artifacts" in line
        assert "kind is planted, not None" in line
    cli("rebuild", "--root", root).succeeded()
    cli("rebuild", "--verify", "--root", root).succeeded()


def test_a_database_that_is_none(cli: Cli, root: Path) -> None:
    cli("ls", "--root", root).succeeded()
    for leftover in (root / "registry").iterdir():
        leftover.unlink()
    (root / "registry" / "log.sqlite3").write_bytes(b"not a database" * 1000)
    for command in (["ls"], ["put", "-"]):
        cli(*command, "--root", root, stdin=DATA).failed()


def test_a_port_in_use(cli: Cli, root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = cli("serve", "--root", root, "--port", port).failed()
        assert line == f"artifactstore: cannot listen on 127.0.0.1:{port}: address already in use"


def test_a_server_that_is_not_ours(cli: Cli) -> None:
    for body in (b"<html>", b"[]", b"{}", b'{"items": 1, "next": null}', b'{"items": [{}]}'):
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        with one_answer(head + body) as url:
            assert cli("ls", "--server", url).failed().endswith("answered what is not artifact-store's")


def test_a_server_that_breaks_off(cli: Cli) -> None:
    for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"SSH-2.0-x\r\n"):
        with one_answer(answer) as url:
            assert url in cli("ls", "--server", url).failed()


@contextlib.contextmanager
def one_answer(answer: bytes) -> Iterator[str]:
    """A server in a process of its own that gives one answer, whatever it is asked, and goes."""
    code = (
        "import socket, sys\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    print(server.getsockname()[1], flush=True)\n"
        "    connection, _ = server.accept()\n"
        "    connection.recv(65536)\n"
        "    connection.sendall(sys.stdin.buffer.read())\n"
        "    connection.close()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(answer)
        process.stdin.close()
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def test_settings_of_the_environment_are_status_1(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ARTIFACTSTORE_PORT", "65536"),
        ("ARTIFACTSTORE_WORKERS", "257"),
        ("ARTIFACTSTORE_SERVER", "x:1"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            cli("ls").failed()


def test_a_server_without_tls(cli: Cli) -> None:
    for command in ("ls", "bench"):
        with one_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            assert "TLS: " in cli(command, "--server", url.replace("http:", "https:")).failed()


def test_a_locked_root_says_how_to_work_beside_its_gateway(cli: Cli, root: Path, running: Running, work: Path) -> None:
    (work / "file").write_bytes(DATA)
    assert cli("put", "file", "--root", root).failed().endswith("; use --server to work through it")
    assert "--server" not in cli("rebuild", "--root", root).failed()


def shell(command: str) -> Ran:
    script = f"exec '{sys.executable}' -m artifactstore {command}"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=False)
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def test_an_output_that_cannot_be_written_is_one_line_and_status_1(work: Path, cli: Cli) -> None:
    (work / "file").write_bytes(DATA)
    cli("put", "file", "--name", "a/b").succeeded()
    full, closed = "No space left on device", "Bad file descriptor"
    for command, reason in (
        ("ls >/dev/full", f"standard output: {full}"),
        ("ls >&-", f"standard output: {closed}"),
        ("put file >&-", f"standard output: {closed}"),
        ("get a/b -o - >/dev/full", f"standard output: {full}"),
        ("get a/b -o /dev/full", f"/dev/full: {full}"),
        ("get a/b -o missing/copy", "missing/copy: No such file or directory"),
    ):
        assert shell(command).failed() == f"artifactstore: {reason}"
    for command in ("--help >/dev/full", "put - <&-"):
        shell(command).failed()
    assert shell("ls 2>&-").succeeded().out.endswith("a/b\n")


def test_a_command_on_a_root_loads_no_http_client(work: Path) -> None:
    run = "from artifactstore.cli import commands; commands(['ls'], standalone_mode=False)"
    code = f"import sys; {run}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True, text=True)
    assert "artifactstore.bootstrap" in ran.stdout.split()
    assert "aiohttp" not in ran.stdout.split()
