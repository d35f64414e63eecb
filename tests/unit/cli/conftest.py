"""The command line, run in this process as its entry point runs it, and in processes where that makes a difference."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from artifactstore import cli as command_line
from artifactstore.api.http import create_app
from artifactstore.api.server import GatewayRunner
from artifactstore.bootstrap import open_local
from tests.conftest import settings_for


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
    monkeypatch.setenv("ARTIFACTSTORE_LOG_LEVEL", "error")
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "argv", ["artifactstore", *map(str, arguments)])
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            os.dup2(given.fileno(), 0)  # the capture's own, which is put back after the test
        handlers, level = list(logging.root.handlers), logging.root.level
        try:
            with pytest.raises(SystemExit) as leaving:
                command_line.main()
        finally:  # `serve` sets up logging for a whole process
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
        out, err = capfdbinary.readouterr()
        assert isinstance(leaving.value.code, int)
        return Ran(leaving.value.code, out.decode(errors="replace"), err.decode())

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@dataclass(frozen=True)
class Running:
    """A gateway on a socket, in a thread of its own: the command line has an event loop for itself."""

    url: str


@contextlib.contextmanager
def running_gateway(root: Path) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait_for[T](work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    held = contextlib.AsyncExitStack()

    async def start() -> Running:
        store = await held.enter_async_context(open_local(settings_for(root)))
        runner = GatewayRunner(create_app(store))
        await runner.setup()
        held.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        return Running(f"http://{host}:{port}")

    try:
        yield wait_for(start())
    finally:
        wait_for(held.aclose())
        wait_for(loop.shutdown_asyncgens())
        wait_for(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def running(root: Path) -> Iterator[Running]:
    """A gateway that holds `root`."""
    with running_gateway(root) as gateway:
        yield gateway


@pytest.fixture(params=["root", "server"])
def target(request: pytest.FixtureRequest, root: Path) -> list[str]:
    """What makes a command work on a root, or through a server."""
    if request.param == "root":
        return ["--root", str(root)]
    gateway: Running = request.getfixturevalue("running")
    return ["--server", gateway.url]
