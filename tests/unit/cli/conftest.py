"""The command line, run in this process as its entry point runs it, and in processes where that makes a difference."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from artifactstore import cli as command_line
from tests.process import GatewayProcess


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What `--json` printed: each line is a document of its own."""
        assert self.out.isascii()
        return [json.loads(line) for line in self.out.splitlines()]

    def failed(self, status: int = 1) -> str:
        """The one line that a failure has."""
        assert self.status == status, self
        assert self.err.startswith("artifactstore: "), self
        assert self.err.count("\n") == 1, self
        return self.err.strip()

    def succeeded(self) -> Ran:
        assert (self.status, self.err) == (0, ""), self
        return self


type Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no settings from outside."""
    for name in list(os.environ):
        if name.startswith("ARTIFACTSTORE_"):
            monkeypatch.delenv(name)
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def in_process(*arguments: object, stdin: bytes = b"") -> Ran:
    """The same in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "artifactstore", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "ARTIFACTSTORE_LOG_LEVEL": "error"},
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        if arguments[:1] == ("serve",):  # it sets up logging for a whole process
            return in_process(*arguments)
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "argv", ["artifactstore", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as leaving:
            command_line.main()
        out, err = capfdbinary.readouterr()
        assert isinstance(leaving.value.code, int)
        return Ran(leaving.value.code, out.decode(), err.decode())

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def gateway_process(root: Path) -> Iterator[GatewayProcess]:
    """A gateway that holds `root`."""
    running = GatewayProcess(root)
    yield running
    running.stop()


@pytest.fixture(params=["root", "server"])
def target(request: pytest.FixtureRequest, root: Path) -> list[str]:
    """What makes a command work on a root, or through a server."""
    if request.param == "root":
        return ["--root", str(root)]
    running: GatewayProcess = request.getfixturevalue("gateway_process")
    return ["--server", running.url]
