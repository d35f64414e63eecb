"""A namespace holds what it may and no more, whoever sends at once; what is refused leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from artifactstore.domain.usage import Usage
from tests.conftest import Gateway, GatewayFactory
from tests.http.conftest import Client
from tests.http.wire import connect, request

QUOTAS = {"a": {"objects": 5}, "b": {"bytes": 100}, "*": {"objects": 0}}


def files(gateway: Gateway) -> list[Path]:
    return [path for path in (gateway.root / "objects").rglob("*") if path.is_file()]


async def test_uploads_at_once_cannot_exceed_it(start_gateway: GatewayFactory) -> None:
    async with _quoted(start_gateway) as (gateway, http):
        sent = [http("PUT", f"/v1/files/a/{number}", data=b"%d" % number) for number in range(20)]
        answers = await asyncio.gather(*sent)
        taken = [number for number, answer in enumerate(answers) if answer.status == 201]
        assert len(taken) == 5
        for answer in answers:
            assert answer.status == 201 or await answer.problem() == "quota-exceeded"
        assert await gateway.store.registry.usage("a") == Usage("a", 5, sum(len(str(number)) for number in taken))
        await http("DELETE", f"/v1/files/a/{taken[0]}")
        assert (await http("PUT", "/v1/files/a/again", data=b"again")).status == 201


async def test_bytes_count_for_every_way_in(start_gateway: GatewayFactory) -> None:
    async with _quoted(start_gateway) as (_, http):
        stored = await http("POST", "/v1/objects", data=bytes(60), headers={"Artifact-Namespace": "b"})
        digest = str((await stored.json())["blake3"])
        # the same bytes again are no more than they were, and are taken even when nothing else is
        again = await http("POST", "/v1/objects", data=bytes(60), headers={"Artifact-Namespace": "b"})
        assert (stored.status, again.status) == (201, 200)
        recorded = {"namespace": "b", "name": "x", "digest": digest}
        for answer in (
            await http("PUT", "/v1/files/b/x", data=bytes(60)),
            await http("POST", "/v1/objects", data=bytes(41), headers={"Artifact-Namespace": "b"}),
            await http("POST", "/v1/artifacts", json=recorded),
        ):
            assert (answer.status, await answer.problem()) == (507, "quota-exceeded")
            assert "40 are left" in str((await answer.json())["detail"])
        assert (await http("PUT", "/v1/files/b/x", data=bytes(40))).status == 201
        assert (await http("GET", f"/v1/objects/{digest}")).body == bytes(60)


async def test_what_is_refused_is_not_stored(start_gateway: GatewayFactory) -> None:
    async with _quoted(start_gateway) as (gateway, http):
        for method, path in (("PUT", "/v1/files/b/x"), ("POST", "/v1/objects")):
            for size in (101, 3 * 2**20):
                chunked = http(method, path, data=_pieces(bytes(size)), headers={"Artifact-Namespace": "b"})
                assert await (await chunked).problem() == "quota-exceeded"
        assert (await http("PUT", "/v1/files/elsewhere/x", data=b"1")).status == 507
        assert files(gateway) == []
        assert await gateway.store.registry.head() == 0


async def test_a_length_that_cannot_fit_is_refused_before_the_body(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(quotas=QUOTAS)
    for line in ("PUT /v1/files/b/x", "POST /v1/objects"):
        method, path = line.split()
        wire = await connect(gateway)
        await wire.send(request(method, path, "Expect: 100-continue", "Content-Length: 101", "Artifact-Namespace: b"))
        status, _, body = await wire.answer()
        assert (status, b"quota-exceeded" in body) == (507, True)
        await wire.close()


@asynccontextmanager
async def _quoted(start_gateway: GatewayFactory) -> AsyncIterator[tuple[Gateway, Client]]:
    gateway = await start_gateway(quotas=QUOTAS)
    async with aiohttp.ClientSession() as session:
        yield gateway, Client(session, gateway.url)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), 65536):
        yield data[begin : begin + 65536]
