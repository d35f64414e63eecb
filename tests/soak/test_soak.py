"""A sample of the soak: the same, for some seconds; and that lost bytes, versions and answers turn it red."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.package import MemberSource
from tests.conftest import settings_for
from tests.soak.load import Known, load
from tests.soak.run import check, soak


@pytest.mark.timeout(600)  # the load is for seconds; the starts take what the machine has left
async def test_a_gateway_that_is_killed_under_mixed_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    known = await soak(tmp_path / "root", 15.0, 20261129)
    assert known.kept
    assert {"put_small", "put_shared", "read_range", "search"} <= set(known.done)


def one_of(root: Path) -> Path:
    """The file of an object that is known."""
    return next(path for path in (root / "objects").rglob("*") if path.is_file() and path.stat().st_size == 100_000)


def lose_bytes(root: Path, known: Known) -> None:
    file = one_of(root)
    file.unlink()


def change_bytes(root: Path, known: Known) -> None:
    file = one_of(root)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[::-1])


def know_a_version_that_is_not_there(root: Path, known: Known) -> None:
    known.versions["name"][3] = next(iter(known.kept))


def know_a_package_that_says_otherwise(root: Path, known: Known) -> None:
    known.packages = dict.fromkeys(known.packages, f"blake3:{'0' * 64}")


def know_of_a_deletion_that_was_none(root: Path, known: Known) -> None:
    known.deleted.add(known.kept.popitem()[0])


@pytest.mark.parametrize(
    "spoil",
    [
        lose_bytes,
        change_bytes,
        know_a_version_that_is_not_there,
        know_a_package_that_says_otherwise,
        know_of_a_deletion_that_was_none,
    ],
)
async def test_what_was_acknowledged_and_is_not_there_is_red(
    tmp_path: Path, spoil: Callable[[Path, Known], None]
) -> None:
    known = Known()
    async with open_local(settings_for(tmp_path / "root")) as store:
        for number in range(2):
            artifact, _ = await store.put_file("soak", "name", random.Random(number).randbytes(100_000))
            sha256 = artifact.identity.sha256.hex
            known.kept[sha256] = (0, 0)
            known.versions.setdefault("name", {})[artifact.version] = sha256
        members = [MemberSource(Digest.parse(f"sha256:{sha256}"), sha256) for sha256 in known.kept]
        package, _ = await store.seal_package("soak", "package", members)
        known.packages[str(package.id)] = str(package.manifest.blake3)
    await check(tmp_path / "root", known, lambda line: None)
    spoil(tmp_path / "root", known)
    with pytest.raises(AssertionError):
        await check(tmp_path / "root", known, lambda line: None)


async def loses_an_answer(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def answers_with_something_else(request: web.Request) -> web.StreamResponse:
    return web.json_response({"sha256": "sha256:00", "items": [{"id": 1}, {"id": 1}]}, status=201)


@pytest.mark.parametrize(
    ("handler", "error"), [(loses_an_answer, aiohttp.ClientError), (answers_with_something_else, AssertionError)]
)
async def test_an_answer_that_is_lost_or_wrong_is_red(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], error: type[Exception]
) -> None:
    dice = random.Random(1)  # none begins with a large upload, whose early answer may be lost on the way
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", handler)
    async with TestServer(app) as server:
        with pytest.raises(error):
            await load(f"http://{server.host}:{server.port}", Known(), 4, dice, lambda: asyncio.sleep(1))
