"""One raw connection to the gateway under test, and what an upload that is under way holds open."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.conftest import Gateway


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """The status and headers of the next answer."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = text.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(status.split()[1]), headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def closed(self) -> bool:
        return await self.reader.read() == b""

    @staticmethod
    async def pause() -> None:
        """Let the gateway, which shares this loop and has threads of its own, go on."""
        await asyncio.sleep(0.005)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def connect(gateway: Gateway) -> Wire:
    return Wire(*await asyncio.open_connection("127.0.0.1", gateway.port))


def request(method: str, path: str, *headers: str) -> str:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""])


async def settled(gateway: Gateway) -> None:
    """Wait until the gateway has noticed: no upload holds a descriptor of an unnamed staging file."""
    for _ in range(2000):
        if not unnamed_files(gateway.root):
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"still open: {unnamed_files(gateway.root)}")


def unnamed_files(root: Path) -> list[str]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(str(root / "staging")):
            found.append(target)
    return found
