"""What a host may run out of under a store that works: room, inodes, descriptors, a file's size, a disk under its disk.

Everything is tried while it lacks; only the store's own errors may come out, and deletions must go on where nothing but
room lacks. Then the power fails, or there is enough again; and what was acknowledged must be there.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.store import Store
from tests.crash import volume
from tests.crash.campaign import Campaign
from tests.crash.driver import ROOT, Ended, attempt, forked, settings_of
from tests.crash.families import NOLOGFLUSH
from tests.crash.journal import Journal
from tests.crash.operations import LARGE, OPERATIONS, SMALL, Act

#: Takes something away from the process or the volume for as long as the context lasts.
type Lack = Callable[[Path], AbstractContextManager[None]]


@contextmanager
def no_room(place: Path) -> Iterator[None]:
    """Every byte is taken, as somebody else on the disk would."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
        with suppress(OSError):
            os.fsync(file.fileno())
    yield
    filler.unlink()


@contextmanager
def no_inodes(place: Path) -> Iterator[None]:
    """No file can be made: all inodes are taken."""
    directory = place / "fillers"
    directory.mkdir()
    number = 0
    with suppress(OSError):
        while True:
            (directory / str(number)).touch()
            number += 1
    yield
    for index in range(number):
        (directory / str(index)).unlink()


@contextmanager
def _limited(kind: int, limit: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, before[1]))
    yield
    resource.setrlimit(kind, before)


@contextmanager
def no_descriptors(_place: Path) -> Iterator[None]:
    """Nothing more can be opened."""
    with _limited(resource.RLIMIT_NOFILE, max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 1):
        yield


@contextmanager
def short_files(_place: Path) -> Iterator[None]:
    """No file may grow past 64 KiB: a large body does not fit, and soon the log does not."""
    with _limited(resource.RLIMIT_FSIZE, 2**16):
        yield


LACKS: dict[str, tuple[Lack, bool]] = {  # and whether deletions go on
    "no room": (no_room, True),
    "no inodes": (no_inodes, False),
    "no descriptors": (no_descriptors, False),
    "short files": (short_files, False),
}


def lacking(campaign: Campaign, name: str, *, cut: bool, times: int) -> None:
    """Everything is tried while something lacks; then the power fails, or the store goes on with enough of it."""
    lack, deletes = LACKS[name]
    family = f"{name}{', then a cut' if cut else ''}"
    base = campaign.base("filled")
    with campaign.family(family):
        for number in campaign.unfinished(family, range(times)):
            seed = f"{campaign.seed}-{number}"

            async def work(store: Store, journal: Journal, seed: str = seed) -> None:
                act = Act(store, journal, campaign.place / ROOT, seed)
                doomed = [act.content(size) for size in (SMALL, LARGE, SMALL)]
                for content in doomed:
                    await act.put(content)
                with lack(campaign.place):
                    for operation in random.Random(seed).sample(list(OPERATIONS), len(OPERATIONS)):
                        await attempt(act, operation)
                    for content in doomed:
                        try:
                            await act.delete(content)
                        except ArtifactStoreError as error:
                            act.require(not deletes, f"a deletion failed: {error!r}")
                    if cut:
                        campaign.shim.shutdown(NOLOGFLUSH)
                await attempt(act, "put_new")  # which may be what finds out that there is enough again
                act.require(await attempt(act, "put_new"), "the store does not go on when there is enough again")

            with campaign.on_image(base):
                campaign.expect(_run(campaign, work), family, str(number))
            with campaign.remounted():  # as full as it was
                campaign.judge(campaign.known(base), family, str(number))


def _run(campaign: Campaign, work: Callable[[Store, Journal], Awaitable[None]]) -> Ended:
    campaign.begin()

    async def run() -> None:
        journal = Journal(campaign.journal, lambda: campaign.shim.count)
        campaign.shim.watch(campaign.place, exempt=journal.fd)
        async with open_local(settings_of(campaign.place / ROOT), actor="local:crash") as store:
            await work(store, journal)

    return forked(run, campaign.journal.with_suffix(".log"))


def lost_writes(campaign: Campaign, times: int) -> None:
    """The disk is thin: an image that promises more than the memory under it has. Writes succeed, syncs fail."""
    family = "a thin disk"
    base = campaign.base("filled")
    with campaign.family(family):
        for number in campaign.unfinished(family, range(times)):
            with volume.memory(campaign.workspace / "thin", "size=12m") as below:
                image = below / "image"
                volume.copy_image(campaign.image_of(base), image)

                async def work(store: Store, journal: Journal, seed: str = f"{campaign.seed}-{number}") -> None:
                    act = Act(store, journal, campaign.place / ROOT, seed)
                    failed = 0
                    for _ in range(40):
                        try:
                            await act.put(act.content(400_000))
                        except ArtifactStoreError:
                            failed += 1
                    act.require(failed > 0, "no upload failed: the disk was not thin enough")

                with volume.mounted(image, campaign.place):
                    campaign.expect(_run(campaign, work), family, str(number))
                volume.grow(below)
                with volume.mounted(image, campaign.place):
                    campaign.judge(campaign.known(base), family, str(number))
