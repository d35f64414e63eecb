"""`kill -9` while requests with keys are under way: whoever sends them again, each has happened once.

What must hold, wherever the process ends:

- before the commit: nothing names the request; it is sent again and happens, for the first time;
- after the commit, answered or not: it is sent again, nothing happens, and it is answered as it was or would have been.

The client never knows which of the two it was, and need not.
"""

from __future__ import annotations

import asyncio
import json
import random
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from artifactstore.bootstrap import open_local
from tests.conftest import settings_for
from tests.process import GatewayProcess

WRITERS = 6
ROUNDS = 5

#: Ends the process when a request with a key is where the name says.
FAULT = """
import os, signal
from artifactstore.registry import log
inner = log.EventLog.{step}
def step(self, connection, *arguments, **named):
    result = inner(self, connection, *arguments, **named)
    if {keyed}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
log.EventLog.{step} = step
"""
FAULTS = {
    "written and not committed": FAULT.format(step="_store", keyed="arguments[1].answers"),
    "committed and not answered": FAULT.format(step="_attempt", keyed="any(each.once for each in arguments[0])"),
}


class Intent:
    """One request that a client wants to have happened once, and every answer that it got."""

    def __init__(self, method: str, path: str, body: bytes, **fields: str) -> None:
        self.method, self.path, self.body, self.fields = method, path, body, fields
        self.answers: list[bytes] = []

    async def send(self, session: aiohttp.ClientSession, url: str, key: str) -> bool:
        """Send it; whether it is answered as one that was answered before."""
        headers = {"Idempotency-Key": key, **self.fields}
        async with session.request(self.method, url + self.path, data=self.body, headers=headers) as answer:
            body = await answer.read()
            assert answer.status in (200, 201), body
            self.answers.append(body)
            return "Idempotency-Replayed" in answer.headers


async def write(
    session: aiohttp.ClientSession, url: str, intents: dict[str, Intent], writer: int, dice: random.Random
) -> None:
    """Request after request, without end: the gateway dies under it."""
    for number in count():
        key = f"{writer}-{len(intents)}-{number}"
        data = key.encode() + dice.randbytes(dice.choice((0, 100, 5_000, 300_000)))
        intents[key] = Intent("PUT", f"/v1/files/ci/writer-{writer}", data)
        await intents[key].send(session, url, key)
        known = {"namespace": "ci", "name": f"known-{writer}", "digest": json.loads(intents[key].answers[0])["blake3"]}
        key += "-known"
        intents[key] = Intent(
            "POST", "/v1/artifacts", json.dumps(known).encode(), **{"Content-Type": "application/json"}
        )
        await intents[key].send(session, url, key)


async def run_until_killed(gateway: GatewayProcess, intents: dict[str, Intent], dice: random.Random) -> None:
    async with aiohttp.ClientSession() as session:
        writers = [
            asyncio.create_task(write(session, gateway.url, intents, writer, random.Random(dice.random())))
            for writer in range(WRITERS)
        ]
        await asyncio.sleep(dice.uniform(0.2, 0.6))
        await asyncio.to_thread(gateway.kill)
        for outcome in await asyncio.gather(*writers, return_exceptions=True):
            assert isinstance(outcome, aiohttp.ClientError | ConnectionError), outcome


async def test_whatever_is_sent_again_has_happened_once(tmp_path: Path) -> None:
    dice = random.Random(20261129)
    root = tmp_path / "root"
    intents: dict[str, Intent] = {}
    happened_unanswered = 0
    for _ in range(ROUNDS):
        gateway = await asyncio.to_thread(GatewayProcess, root)
        await run_until_killed(gateway, intents, dice)
        gateway = await asyncio.to_thread(GatewayProcess, root)
        async with aiohttp.ClientSession() as session:
            for key, intent in intents.items():
                answered = bool(intent.answers)
                replayed = await intent.send(session, gateway.url, key)
                assert replayed or not answered, "what was answered has happened, and is not done again"
                happened_unanswered += replayed and not answered
        await asyncio.to_thread(gateway.kill)
    async with open_local(settings_for(root)) as store:
        made = []
        after = 0
        while page := await store.events(after=after, limit=1000):
            made += [item.payload["name"] for item in page if item.type == "artifact.created"]
            after = page[-1].seq
        assert len(made) == len(intents), "each has happened, once"
        for intent in intents.values():
            assert set(intent.answers) == {intent.answers[0]}, "each is answered the same every time"
        assert await store.registry.verify_views() is None


@pytest.mark.parametrize("step", FAULTS)
async def test_the_process_ends_at(step: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    gateway = await asyncio.to_thread(GatewayProcess, root, fault=FAULTS[step])
    intent = Intent("PUT", "/v1/files/ci/a", b"bytes", **{"If-None-Match": "*"})
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await intent.send(session, gateway.url, "k")
        await asyncio.to_thread(gateway.kill)
        gateway = await asyncio.to_thread(GatewayProcess, root)
        for number in range(3):
            replayed = await intent.send(session, gateway.url, "k")
            assert replayed is (step == "committed and not answered" or number > 0)
    await asyncio.to_thread(gateway.stop)
    assert set(intent.answers) == {intent.answers[0]}
    assert json.loads(intent.answers[0])["version"] == 1
    async with open_local(settings_for(root)) as store:
        assert [item.type for item in await store.events()] == ["object.stored", "artifact.created"]
