"""Space that is promised to running uploads counts as taken: 507, while downloads and deletions go on."""

from __future__ import annotations

import os

from tests.conftest import Gateway, GatewayFactory
from tests.http.wire import Wire, connect, request, settled, unnamed_files

DATA = b"stored while there was room"


def free(gateway: Gateway) -> int:
    found = os.statvfs(gateway.root)
    return found.f_bavail * found.f_frsize


async def begun_upload(gateway: Gateway, size: int) -> Wire:
    """An upload that has announced `size` bytes, of which a few have come."""
    before = len(unnamed_files(gateway.root))
    wire = await connect(gateway)
    await wire.send(request("PUT", "/v1/files/default/large", f"Content-Length: {size}"))
    await wire.send(bytes(300_000))
    while len(unnamed_files(gateway.root)) == before:
        await wire.pause()
    return wire


async def exchange(gateway: Gateway, *parts: bytes | str) -> tuple[int, dict[str, str], bytes]:
    wire = await connect(gateway)
    for part in parts:
        await wire.send(part)
    answer = await wire.answer()
    await wire.close()
    return answer


async def test_what_running_uploads_were_promised_is_not_promised_again(gateway: Gateway) -> None:
    most = free(gateway) * 6 // 10
    stored = await exchange(gateway, request("PUT", "/v1/files/default/a", f"Content-Length: {len(DATA)}"), DATA)
    assert stored[0] == 201

    running = await begun_upload(gateway, most)
    status, headers, body = await exchange(
        gateway, request("PUT", "/v1/files/default/b", "Expect: 100-continue", f"Content-Length: {most}")
    )
    assert (status, headers["content-type"].split(";")[0]) == (507, "application/problem+json")
    assert b"urn:artifact-store:problem:storage-full" in body
    assert (await exchange(gateway, request("PUT", "/v1/files/default/b", f"Content-Length: {most}")))[0] == 507

    assert (await exchange(gateway, request("GET", "/v1/files/default/a")))[2] == DATA
    assert (await exchange(gateway, request("DELETE", "/v1/files/default/a")))[0] == 204
    small = await exchange(gateway, request("PUT", "/v1/files/default/c", f"Content-Length: {len(DATA)}"), DATA)
    assert small[0] == 201, "what is left can be promised"

    await running.close()
    await settled(gateway)
    second = await begun_upload(gateway, most)  # a promise that was not kept is given back
    await second.close()
    await settled(gateway)


async def test_the_floor_is_left_free(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(floor_bytes=2**60)
    status, _, body = await exchange(gateway, request("POST", "/v1/objects", "Content-Length: 5"), b"hello")
    assert status == 507
    assert b"storage-full" in body
    chunked = request("POST", "/v1/objects", "Transfer-Encoding: chunked")
    assert (await exchange(gateway, chunked, b"5\r\nhello\r\n0\r\n\r\n"))[0] == 507
    assert await gateway.store.registry.head() == 0
    assert (await exchange(gateway, request("GET", "/v1/events")))[0] == 200
