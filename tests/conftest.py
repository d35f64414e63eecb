"""What several parts of the suite share: a store, and a real gateway on a loopback socket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from artifactstore.api.channel import pair
from artifactstore.api.http import create_app
from artifactstore.api.limits import Limits
from artifactstore.api.server import GatewayRunner, adopting
from artifactstore.api.worker import working
from artifactstore.api.workers import WORKERS, Link
from artifactstore.bootstrap import open_local
from artifactstore.generations import Generations
from artifactstore.settings import LEAST_RESERVE_BYTES, Settings
from artifactstore.store import Store


@dataclass(frozen=True)
class Gateway:
    """A running gateway: where it listens, what it serves, the store and the application inside it."""

    url: str
    root: Path
    store: Store
    app: web.Application

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def staged(self) -> list[Path]:
        """Named staging files; those without a name are counted by `descriptors`."""
        return list((self.root / "staging").iterdir())

    def stored(self) -> list[Path]:
        return [path for path in (self.root / "objects").rglob("*") if path.is_file()]


type GatewayFactory = Callable[..., Awaitable[Gateway]]


def settings_for(root: Path, **changes: object) -> Settings:
    defaults: dict[str, object] = {
        "root": root,
        "floor_bytes": 0,
        "log_reserve_bytes": LEAST_RESERVE_BYTES,
        "retrieval_interval": 3600.0,  # tests flush when they want to
    }
    return Settings.load(_env_file=None, **{**defaults, **changes})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--through-worker", action="store_true", help="let a worker accept the connections of every gateway"
    )


@pytest.fixture
async def start_gateway(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[GatewayFactory]:
    """Start gateways with settings of the test's own; all are stopped at its end."""
    through_worker = request.config.getoption("--through-worker")
    async with AsyncExitStack() as running:

        async def start(root: Path | None = None, **changes: object) -> Gateway:
            settings = settings_for(root or tmp_path / "root", **changes)
            generations = running.enter_context(closing(Generations.create())) if through_worker else None
            store = await running.enter_async_context(open_local(settings, generations=generations))
            app = create_app(store, limits=Limits.of(settings), require_tokens=settings.require_tokens)
            runner = GatewayRunner(app, access_log=settings.access_log)
            serving: GatewayRunner = runner
            if generations is not None:
                serving = await running.enter_async_context(_in_front(settings, generations, runner, store))
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            await web.TCPSite(serving, "127.0.0.1", 0).start()
            host, port = serving.addresses[0][:2]
            return Gateway(f"http://{host}:{port}", settings.root, store, app)

        yield start


@dataclass(frozen=True)
class _OneWorker:
    link: Link

    async def gather(self) -> None:
        await self.link.gather()

    def tallies(self) -> list[dict[str, Any]]:
        return [self.link.tallies]


@asynccontextmanager
async def _in_front(
    settings: Settings, generations: Generations, runner: GatewayRunner, store: Store
) -> AsyncIterator[GatewayRunner]:
    """A worker in this process: all of it but the process."""
    ours, theirs = pair()
    link = Link(ours, adopt=adopting(runner), summed=store.recorder.add)
    store.recorder.gathering = link.gather
    runner.app[WORKERS] = _OneWorker(link)
    followed = Generations(os.dup(generations.fileno()), writable=False)
    with closing(followed):
        async with working(settings, followed, theirs, lambda: None) as work:
            link.ready.set_result(None)
            yield work.runner
        await link.lost.wait()


@pytest.fixture
async def gateway(start_gateway: GatewayFactory) -> Gateway:
    """A gateway over an empty root."""
    return await start_gateway()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store over an empty root, with no server."""
    async with open_local(settings_for(tmp_path / "root")) as opened:
        yield opened
