"""`rebuild`, `backup`, `restore`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from artifactstore.cli import eventloop
from artifactstore.cli.progress import bar
from artifactstore.cli.target import Target, with_target

if TYPE_CHECKING:
    from artifactstore.backups.form import Missing

DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--verify", "only_verify", is_flag=True, help="Compare only; change nothing.")
@with_target
def rebuild(target: Target, only_verify: bool) -> None:
    """Fold the views anew from the event log, and replace them.

    With --verify, they are folded beside the live ones and compared, also while a gateway runs: nothing is changed, and
    the first difference is named, with exit status 1.
    """
    settings = target.local("rebuild")

    async def work() -> None:
        from artifactstore.bootstrap import open_local

        async with open_local(settings, read_only=only_verify) as store:
            with bar(await store.registry.head(), "events", quiet=target.as_json, unit="") as shown:

                def progress(done: int, total: int) -> None:
                    shown.total = total
                    shown.update(done - shown.n)

                if not only_verify:
                    await store.registry.rebuild(progress)
                difference = await store.registry.verify_views(progress) if only_verify else None
            head = await store.registry.head()
        if difference is not None:
            raise click.ClickException(f"the views differ from the log: {difference}")
        what = "verified" if only_verify else "rebuilt"
        target.print({what: True, "events": head}, f"{what} from {head} events")

    eventloop.run(work())


@click.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--verify", "re_read", is_flag=True, help="Read again what DIRECTORY holds already.")
@with_target
def backup(target: Target, directory: Path, re_read: bool) -> None:
    """Back the root up into DIRECTORY, as of this moment, also while a gateway serves it.

    DIRECTORY is empty, or an earlier backup of the same root, to which what is new is added. Each object is digested on
    its way. One that is damaged is named, with exit status 1; the backup holds the others. Broken off, say it again.
    """
    settings = target.local("backup")
    from artifactstore.backups import taking

    with _progress(target, "backed up") as announce:
        taken = taking.take(settings.root, directory, verify=re_read, announce=announce)
    record, copied = taken.record, taken.copied
    document = {
        "backup": str(directory),
        "log": record.log_id,
        "seq": record.seq,
        "time": record.time,
        "objects": record.objects,
        "size_bytes": record.size_bytes,
        "copied": copied.objects,
        "copied_bytes": copied.size_bytes,
        "removed": taken.removed,
        "missing": [{"digest": item.address, "reason": item.reason} for item in record.missing],
    }
    target.print(
        document,
        f"backed up {record.objects} objects ({record.size_bytes} bytes) up to event {record.seq} of {record.time}; "
        f"copied {copied.objects} ({copied.size_bytes} bytes)",
    )
    _refuse_missing(record.missing, "the backup lacks what is damaged in the root; upload it again, and back up again")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--verify", "re_read", is_flag=True, help="Then read everything again, and fold the log.")
@with_target
def restore(target: Target, directory: Path, re_read: bool) -> None:
    """Make the root, which must be empty or not there, from the backup in DIRECTORY.

    Each object is digested on its way. With --verify, each is read again from the root, and the log is folded and
    compared with the views. Exit status 1, and a line for each, if the backup lacks objects. Broken off, say it again.
    """
    settings = target.local("restore")
    from artifactstore.backups import restoring

    with _progress(target, "restored") as announce:
        restored = restoring.restore(directory, settings.root, announce=announce)
    record, missing = restored.record, list(restored.missing)
    if re_read:
        with _progress(target, "verified") as announce:
            missing = restoring.check_objects(settings.root, announce=announce)
        if (difference := eventloop.run(_first_difference(target))) is not None:
            raise click.ClickException(f"the views differ from the log: {difference}")
    what = "restored and verified" if re_read else "restored"
    target.print(
        {
            "restored": str(settings.root),
            "log": record.log_id,
            "seq": record.seq,
            "time": record.time,
            "objects": record.objects,
            "size_bytes": record.size_bytes,
            "verified": re_read,
            "missing": [{"digest": item.address, "reason": item.reason} for item in missing],
        },
        f"{what} {record.objects} objects ({record.size_bytes} bytes) up to event {record.seq} of {record.time}",
    )
    _refuse_missing(missing, "the backup lacks objects that its log names")


async def _first_difference(target: Target) -> object:
    from artifactstore.bootstrap import open_local

    async with open_local(target.settings, read_only=True) as store:
        return await store.registry.verify_views()


@contextmanager
def _progress(target: Target, what: str) -> Iterator[Callable[[int], Callable[[int], object]]]:
    """Something to announce a number of bytes to, which then shows a bar."""
    with ExitStack() as shown:

        def announce(total: int) -> Callable[[int], object]:
            return shown.enter_context(bar(total, what, quiet=target.as_json)).update

        yield announce


def _refuse_missing(missing: Collection[Missing], why: str) -> None:
    """A line for each on standard error, and exit status 1, if there are any."""
    for item in missing:
        click.echo(f"MISSING {item.address}: {item.reason}", err=True)
    if missing:
        raise click.ClickException(why)
