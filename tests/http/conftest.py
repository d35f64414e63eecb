"""A plain HTTP client for the gateway under test."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import uvloop
from yarl import URL

from tests.conftest import Gateway


class Client:
    """aiohttp's client, sending paths exactly as they are written."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def __call__(self, method: str, path: str, **arguments: object) -> Answer:
        url = URL(self._base + path, encoded=True)
        if isinstance(body := arguments.get("data"), bytes):  # as a file: aiohttp warns of large bytes
            arguments["data"] = io.BytesIO(body)
        async with self._session.request(method, url, auto_decompress=False, **arguments) as response:  # type: ignore[arg-type]  # passed through
            return Answer(response, await response.read())


class Answer:
    """A response, read to its end."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body
        self._response = response

    async def json(self) -> dict[str, object]:
        document = await self._response.json(content_type=None)
        assert isinstance(document, dict)
        return document

    async def problem(self) -> str:
        """The code of the problem document that this must be."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.body
        document = await self.json()
        assert document["status"] == self.status
        assert document["detail"]
        kind = str(document["type"])
        assert kind.startswith("urn:artifact-store:problem:")
        return kind.removeprefix("urn:artifact-store:problem:")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What takes a connection over from the loop is tried on uvloop, which is served with, as well."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.nodeid.startswith(("tests/http/test_intake.py", "tests/http/test_chunks.py")):
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, gateway.url)
