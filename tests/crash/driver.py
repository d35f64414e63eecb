"""One run: a forked process opens a store on a volume, does operations, and is told where it goes wrong.

The parent has imported everything and has no threads: a case costs a fork, not the start of an interpreter.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import random
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.settings import LEAST_RESERVE_BYTES, Settings
from artifactstore.store import Store
from tests.crash.journal import Journal
from tests.crash.operations import OPERATIONS, Abandoned, Act
from tests.crash.shim import Action, Shim

#: A run that takes so many seconds hangs.
_PATIENCE = 60
#: Where on a volume the root lies: a directory above it has to be made, too.
ROOT = Path("srv/root")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at the n-th call that writes, and whether at every later one."""

    action: Action = Action.COUNT
    nth: int = 0
    argument: int = 0
    sticky: bool = False

    def __str__(self) -> str:
        tail = f" {self.argument}" if self.argument else ""
        return f"{self.action.name.lower()}{tail} {'from' if self.sticky else 'at'} call {self.nth}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a forked process ended."""

    killed: bool
    status: int  # of its exit; or the signal's number

    @property
    def clean(self) -> bool:
        return not self.killed and self.status == 0


@lru_cache  # of one root in a campaign, three times a case
def settings_of(root: Path) -> Settings:
    return Settings.load(
        _env_file=None, root=root, floor_bytes=0, log_reserve_bytes=LEAST_RESERVE_BYTES, retrieval_interval=3600.0
    )


def forked(work: Callable[[], Coroutine[Any, Any, None]], log: Path) -> Ended:
    """Run a coroutine in a child of this process; how that ended. Its last words are in `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:  # whoever stops the campaign
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        return Ended(os.WIFSIGNALED(status), os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        gc.disable()  # it lives for a moment
        faulthandler.dump_traceback_later(_PATIENCE - 5)
        signal.alarm(_PATIENCE)
        logging.basicConfig(level=logging.ERROR, force=True)
        asyncio.run(work())
        log.with_suffix(".modules").write_text("\n".join(sys.modules))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done in one run: operations, one after the other, by so many writers at once."""

    name: str
    operations: tuple[str, ...]
    writers: int = 1
    rounds: int = 1
    at_open: bool = True  # whether calls count from before the store is opened


async def perform(scenario: Scenario, store: Store, journal: Journal, root: Path, seed: str, named: str = "") -> None:
    """Do a scenario's operations; names end with `named`. What one raises but for the store's errors is a finding."""
    dice = random.Random(seed)

    async def write(writer: int) -> None:
        order = list(scenario.operations)
        if scenario.writers > 1:
            random.Random(f"{seed}/{writer}").shuffle(order)
        for number in range(scenario.rounds):
            act = Act(store, journal, root, f"{seed}.{writer}.{number}.{dice.getrandbits(16):04x}", named)
            for name in order:
                await attempt(act, name)

    await asyncio.gather(*(write(writer) for writer in range(scenario.writers)))


async def attempt(act: Act, name: str) -> bool:
    """Do one operation and note how far the log is; whether it succeeded."""
    try:
        await OPERATIONS[name](act)
        await note_head(act)
    except (ArtifactStoreError, Abandoned):
        return False
    except Exception as error:
        traceback.print_exc()
        act.journal.finding(f"{name} raised {type(error).__name__}: {error}")
        return False
    return True


async def note_head(act: Act) -> None:
    """What the log says now, it says for ever."""
    if head := await act.registry.head():
        (event,) = await act.registry.events(head - 1, 1)
        act.journal.learned({f"event/{event.seq}": event.leaf.hex()})


def run(
    shim: Shim,
    scenario: Scenario,
    volume: Path,
    journal_path: Path,
    seed: str,
    fault: Fault,
    *,
    record: Path | None = None,
    kill_at_end: bool = False,
    named: str = "",
    after: Callable[[Store, Act], Awaitable[None]] | None = None,
) -> Ended:
    """Run a scenario on the root of a volume with a fault; `after` sees the open store when all is well again.

    `kill_at_end`: by SIGKILL, when everything is done and nothing is closed.
    """

    async def work() -> None:
        journal = Journal(journal_path, lambda: shim.count)
        recorder = -1 if record is None else os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        root = volume / ROOT
        shim.watch(volume, record=recorder, exempt=journal.fd)
        begun = 0
        if scenario.at_open:
            shim.at(fault.nth, fault.action, fault.argument, sticky=fault.sticky)
        try:
            async with open_local(settings_of(root), actor="local:crash") as store:
                if not scenario.at_open:
                    begun = shim.count
                    shim.at(fault.nth, fault.action, fault.argument, sticky=fault.sticky)
                await perform(scenario, store, journal, root, seed, named)
                if kill_at_end:
                    os.kill(os.getpid(), signal.SIGKILL)
                if after is not None:
                    shim.disarm()
                    await after(store, Act(store, journal, root, f"{seed}.after"))
        except ArtifactStoreError as error:
            if fault.action not in (Action.ERROR, Action.SHORT):
                raise
            print(f"the store did not open, or close: {error!r}")
        except OSError as error:
            journal.finding(f"an error of the system came out: {error!r}")
            traceback.print_exc()
        journal.ended(shim.count - begun)

    return forked(work, journal_path.with_suffix(".log"))
