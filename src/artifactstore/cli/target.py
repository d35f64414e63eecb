"""What a command works on: `--root` or `--server`, and how it prints: `--json`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from artifactstore.cli import eventloop
from artifactstore.domain.errors import InvalidInputError, RootLockedError
from artifactstore.settings import Settings

if TYPE_CHECKING:
    from artifactstore.spi import ArtifactStore


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command works, and how it answers."""

    settings: Settings
    as_json: bool

    def open(self, *, read_only: bool = False) -> AbstractAsyncContextManager[ArtifactStore]:
        """The store over the server, or else over the root."""
        # Each is imported where it is wanted: one loads an HTTP client, the other a database.
        if self.settings.server is not None:
            from artifactstore.remote import RemoteStore

            return RemoteStore(self.settings.server, self.settings.token)
        from artifactstore.bootstrap import open_local

        return open_local(self.settings, read_only=read_only)

    def run[T](self, work: Callable[[ArtifactStore], Coroutine[Any, Any, T]], *, read_only: bool = False) -> T:
        """Open the store, run `work` with it, close it."""
        try:
            return self._run(work, read_only=read_only)
        except RootLockedError as error:
            raise click.ClickException(f"{error.detail}; use --server to work through it") from None

    def _run[T](self, work: Callable[[ArtifactStore], Coroutine[Any, Any, T]], *, read_only: bool) -> T:
        async def opened() -> T:
            async with self.open(read_only=read_only) as store:
                return await work(store)

        return eventloop.run(opened())

    def run_recording[T](self, work: Callable[[ArtifactStore], Coroutine[Any, Any, T]]) -> T:
        """As `run`, so that reading is recorded if that can be: beside a process that holds the root it is not."""
        try:
            return self._run(work, read_only=False)
        except RootLockedError:
            return self.run(work, read_only=True)

    def local(self, command: str) -> Settings:
        """The settings, for a command that needs the root itself; a usage error with a server."""
        if self.settings.server is not None:
            raise click.UsageError(f"{command} works on a root, not through a server: use --root there")
        return self.settings

    def print(self, document: object, text: str) -> None:
        """Print one answer: the document as one line of JSON with `--json`, else the text."""
        with naming("standard output"):
            click.echo(json.dumps(document) if self.as_json else text)  # ASCII: whatever reads it, reads it


@contextlib.contextmanager
def naming(output: Path | str, temporary: Path | None = None) -> Iterator[None]:
    """Let an error of the operating system name the output, where it names nothing, or the temporary file."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(output)) from error


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--root`, `--server` and `--json`; it gets a Target as its first argument."""

    def run(root: Path | None, server: str | None, as_json: bool, **arguments: Any) -> None:
        if root is not None and server is not None:
            raise click.UsageError("--root and --server exclude each other")
        settings = Settings.load(root=root, server=server)
        if root is not None:  # said here, it wins over a server that the environment names
            settings = settings.model_copy(update={"server": None})
        try:
            command(Target(settings, as_json), **arguments)
        except InvalidInputError as error:
            if error.field == "server" and server is not None:
                raise click.UsageError(error.detail) from None
            raise

    run.__name__ = command.__name__
    run.__doc__ = command.__doc__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # where click keeps them
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line."),
        click.option("--server", metavar="URL", help="Work through the gateway at this address."),
        click.option(
            "--root",
            type=click.Path(path_type=Path, file_okay=False),
            help="Work on this root directory (default ./var).",
        ),
    ):
        run = option(run)
    return run
