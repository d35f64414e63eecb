"""What hostile clients write (tests/hostile/framing.py): each request is answered once or not at all, none is two."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from artifactstore.domain.errors import ArtifactNotFoundError
from tests.conftest import Gateway
from tests.hostile.exchange import exchange, split, statuses
from tests.hostile.expected import answers_to
from tests.hostile.framing import Case, cases, renamed

#: As `make hostile` asks for; else a few places for each case.
EVERY_SPLIT = "HOSTILE_EVERY_SPLIT" in os.environ
FEW = 3
#: Bytes: what is longer is neither sent byte by byte nor split everywhere.
SHORT = 1000


def ways(case: Case) -> Iterator[list[int]]:
    """Where a case's bytes are cut: nowhere, everywhere, and at one place after the other."""
    size = len(case.data)
    yield []
    if size < SHORT:
        yield list(range(1, size))
    step = 1 if EVERY_SPLIT and size < SHORT else max(1, size // FEW)
    yield from ([place] for place in range(1, size, step))


async def is_stored(gateway: Gateway, name: str) -> bool:
    try:
        await gateway.store.file("default", name)
    except ArtifactNotFoundError:
        return False
    return True


FAMILIES = sorted({case.name.partition(":")[0] for case in cases()})


@pytest.mark.timeout(1200)  # with every split, on a machine that does other things
@pytest.mark.parametrize("family", FAMILIES)
async def test_no_request_is_two(gateway: Gateway, family: str) -> None:
    await gateway.store.put_file("default", "seed", b"seed")
    number = 0
    for case in (case for case in cases() if case.name.partition(":")[0] == family):
        for places in ways(case):
            number += 1
            canary, data = renamed(case.data, number)
            answers = statuses(await exchange(gateway.port, split(data, places)))
            assert answers in answers_to(case.name), (case.name, places)
            assert len(answers) <= case.requests, (case.name, places)
            assert case.canary or not await is_stored(gateway, canary), (case.name, places)
