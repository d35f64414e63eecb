"""`rebuild`."""

from __future__ import annotations

import click

from artifactstore.cli import eventloop
from artifactstore.cli.progress import bar
from artifactstore.cli.target import Target, with_target


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
