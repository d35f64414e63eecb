from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import GatewayProcess


def bench(*arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "artifactstore", "bench", "--size", "3", "--requests", "40", "--connections", "4"]
    environment = {name: value for name, value in os.environ.items() if name != "ARTIFACTSTORE_TOKEN"}
    if token is not None:
        environment["ARTIFACTSTORE_TOKEN"] = token
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path / "root")
    yield process
    process.stop()


def test_it_measures_a_server_and_leaves_nothing(gateway: GatewayProcess, tmp_path: Path) -> None:
    ran = bench("--server", gateway.url, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    document = json.loads(ran.stdout)
    assert list(document) == ["upload", "download", "put_4096", "get_4096"]
    for name in ("upload", "download"):
        assert document[name]["size_bytes"] == 3 * 2**20
        assert document[name]["gb_per_second"] > 0
    for name in ("put_4096", "get_4096"):
        assert (document[name]["requests"], document[name]["connections"]) == (40, 4)
        assert 0 < document[name]["p50_ms"] <= document[name]["p99_ms"]
    assert [path for path in (tmp_path / "root" / "objects").rglob("*") if path.is_file()] == []


def test_its_table_has_a_line_for_each_figure(gateway: GatewayProcess) -> None:
    ran = bench("--server", gateway.url)
    assert ran.returncode == 0
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["upload", "download", "put_4096", "get_4096"]


def test_it_needs_a_server(tmp_path: Path) -> None:
    ran = bench("--root", str(tmp_path / "root"))
    assert ran.returncode == 2
    assert "--server" in ran.stderr
    assert not (tmp_path / "root").exists()


def test_a_server_that_is_not_there_is_one_line() -> None:
    ran = bench("--server", "http://127.0.0.1:1")
    assert ran.returncode == 1
    assert ran.stderr == "artifactstore: 127.0.0.1:1 does not answer: Connection refused\n"


def issued(root: Path, *scopes: str) -> str:
    command = [sys.executable, "-m", "artifactstore", "token", "create", "measures"]
    command += ["--namespace", "*", "--root", str(root)]
    for scope in scopes:
        command += ["--scope", scope]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_it_shows_its_token_to_a_server_that_asks_for_one(tmp_path: Path) -> None:
    root = tmp_path / "root"
    allowed, reader = issued(root, "read", "write", "delete"), issued(root, "read")
    process = GatewayProcess(root, ARTIFACTSTORE_TOKENS="required")
    try:
        ran = bench("--server", process.url, token=allowed)
        assert (ran.returncode, ran.stderr) == (0, "")
        for token, status in ((None, 401), (reader, 403)):
            ran = bench("--server", process.url, token=token)
            assert ran.returncode == 1
            assert ran.stderr.startswith(f"artifactstore: the server answered {status}: ")
            assert ran.stderr.count("\n") == 1
    finally:
        process.stop()
