"""The command line: parses, calls a store, prints. Exit status 0, 1 (it failed: one line), 2 (usage)."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

import click

import artifactstore
from artifactstore.cli import bench, maintenance, package, records, remarks, serving, token, transfer
from artifactstore.domain.errors import ArtifactStoreError


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # before click sees it, which prints an empty line
            raise click.Abort from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(artifactstore.__version__, prog_name="artifactstore")
def commands() -> None:
    """Store, find, read and check generated outputs, in a local root or through a server.

    A command works on the directory that --root names (default ./var), or through the gateway that --server names. An
    ADDRESS is blake3:HEX or sha256:HEX, NAMESPACE/NAME, or an artifact's id.
    """


for command in (
    serving.serve,
    transfer.put,
    transfer.get,
    records.ls,
    records.show,
    remarks.label,
    remarks.attest,
    records.verify,
    records.rm,
    records.events,
    maintenance.rebuild,
    maintenance.backup,
    maintenance.restore,
    package.package,
    token.token,
    bench.bench,
):
    commands.add_command(command)


def main() -> None:
    """Run the command line and exit with its status."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names are Unicode, whatever the terminal can show
    try:
        status = commands.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        status = leaving.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = 2
    except click.UsageError as error:
        where = "artifactstore" if error.ctx is None else error.ctx.command_path
        status = _failed(f"{error.format_message()} ({where} --help says more)", 2)
    except click.Abort:
        status = _failed("interrupted", 130)
    except KeyboardInterrupt:
        status = _failed("interrupted", 130)
    except BrokenPipeError:
        _discard_output()  # whoever read has enough
        status = 1
    except (ArtifactStoreError, click.ClickException) as error:
        status = _failed(str(error) if isinstance(error, ArtifactStoreError) else error.format_message(), 1)
    except OSError as error:
        _flush_or_discard()
        status = _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    sys.exit(status if isinstance(status, int) else 0)


def _failed(reason: str, status: int) -> int:
    with contextlib.suppress(OSError):  # the status says it, too
        click.echo(f"artifactstore: {' '.join(reason.split())}", err=True)
    return status


def _open_closed_streams() -> None:
    """Put something on standard descriptors that are closed, or the next file that is opened would be one of them.

    Reading and writing them is an error still; but complaints that nobody wants go nowhere.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _flush_or_discard() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """What is still buffered must not raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
