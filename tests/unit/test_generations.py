from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import pytest

from artifactstore.generations import COUNTERS, Generations, Subject, roles, slot_of

DIGEST = bytes(range(32))


@pytest.fixture
def writer() -> Iterator[Generations]:
    with closing(Generations.create()) as generations:
        yield generations


@pytest.fixture
def follower(writer: Generations) -> Iterator[Generations]:
    with closing(Generations(os.dup(writer.fileno()), writable=False)) as generations:
        yield generations


@pytest.mark.parametrize("subject", [DIGEST, ("namespace", "a/b"), ("", ""), ("ä", "ö"), UUID(int=3).bytes])
def test_what_one_advances_another_sees(
    writer: Generations, follower: Generations, subject: bytes | tuple[str, str]
) -> None:
    slot, before = slot_of(subject), follower.noted()
    assert 0 <= slot < COUNTERS
    assert before.at(slot) == follower.current(slot)
    writer.advance(subject)
    assert before.at(slot) != follower.current(slot) == follower.noted().at(slot)
    others = [other for other in range(COUNTERS) if other != slot]
    assert all(before.at(other) == follower.current(other) for other in others)


def test_a_counter_begins_again_after_its_last_number(writer: Generations, follower: Generations) -> None:
    slot = slot_of(DIGEST)
    writer._counters[slot] = 2**32 - 1
    writer.advance(DIGEST)
    assert follower.current(slot) == 0


def test_a_follower_cannot_advance(writer: Generations, follower: Generations) -> None:
    assert roles(writer) == (writer, None)
    assert roles(follower) == (None, follower)
    assert roles(None) == (None, None)
    with pytest.raises(TypeError):
        follower.advance(DIGEST)


def test_another_process_has_the_same_counters_for_the_same_subjects(writer: Generations) -> None:
    """Python's own hash is another one in each process."""
    subjects = "(bytes(range(32)), ('namespace', 'name'), ('ä', 'b/c'))"
    program = (
        "import sys; from artifactstore.generations import *\n"
        f"g = Generations(int(sys.argv[1]), writable=False)\nprint([g.current(slot_of(s)) for s in {subjects}])"
    )
    wanted: tuple[Subject, ...] = (DIGEST, ("namespace", "name"), ("ä", "b/c"))
    for times, subject in enumerate(wanted, 1):
        for _ in range(times):
            writer.advance(subject)
    ran = subprocess.run(
        [sys.executable, "-c", program, str(writer.fileno())],
        pass_fds=(writer.fileno(),),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[1, 2, 3]"


def test_closing_is_idempotent() -> None:
    generations = Generations.create()
    generations.close()
    generations.close()
