from __future__ import annotations

import asyncio

import pytest

from artifactstore.api.limits import Limits, Pace, UploadSlots
from artifactstore.settings import Settings


class Sender:
    """A client, and the clock by which it sends."""

    def __init__(self, **limits: float) -> None:
        self.now = 0.0
        self.pace = Pace(Limits(**limits))  # type: ignore[arg-type]  # min_body_rate is whole

    async def sends(self, size: int, after: float) -> None:
        """So many bytes come after that time."""

        async def read() -> bytes:
            await asyncio.sleep(0)
            self.now += after
            return bytes(size)

        assert len(await self.pace.next(read, lambda: self.now)) == size

    async def is_given_up(self) -> bool:
        """Whether the gateway does not wait at all for the next byte."""

        async def read() -> bytes:
            await asyncio.Event().wait()
            return b""

        with pytest.raises(TimeoutError):
            await self.pace.next(read, lambda: self.now)
        return True


async def test_a_body_at_the_least_rate_goes_on() -> None:
    sender = Sender(body_timeout=10.0, min_body_rate=1000)
    for _ in range(100):
        await sender.sends(5000, after=5.0)


async def test_a_body_below_it_is_given_up_when_the_allowance_is_spent() -> None:
    sender = Sender(body_timeout=10.0, min_body_rate=1000)
    for _ in range(4):
        await sender.sends(500, after=3.0)  # which costs 2.5 s each
    assert await sender.is_given_up()


async def test_a_fast_beginning_does_not_pay_for_a_long_trickle() -> None:
    sender = Sender(body_timeout=10.0, min_body_rate=1000)
    await sender.sends(10**6, after=0.0)
    await sender.sends(1, after=10.0)
    assert await sender.is_given_up()


async def test_without_a_least_rate_every_byte_earns_the_whole_time() -> None:
    sender = Sender(body_timeout=10.0, min_body_rate=0)
    for _ in range(100):
        await sender.sends(1, after=9.9)


async def test_time_in_which_the_gateway_is_busy_costs_nothing() -> None:
    sender = Sender(body_timeout=10.0, min_body_rate=1000)
    for _ in range(10):
        await sender.sends(1000, after=1.0)
        sender.now += 1000


def test_slots_are_of_each_client_and_given_back() -> None:
    slots = UploadSlots(2)
    with slots.slot("a") as one, slots.slot("a") as two, slots.slot("a") as three, slots.slot("b") as other:
        assert (one, two, three, other) == (True, True, False, True)
    with slots.slot("a") as one, slots.slot("a") as two:
        assert (one, two) == (True, True)
    with pytest.raises(ValueError, match="x"), slots.slot("a"):
        raise ValueError("x")
    assert not slots._taken  # nothing is kept of clients that have gone


def test_the_limits_are_the_settings_of_the_same_names_with_the_same_defaults() -> None:
    assert Limits.of(Settings.load(_env_file=None)) == Limits()
