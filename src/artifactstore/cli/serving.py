"""`serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from artifactstore.cli.addresses import meant
from artifactstore.settings import Settings


@click.command()
@click.option("--host", help="Where to listen (default 127.0.0.1).")
@click.option("--port", type=int, help="Where to listen (default 8000; 0 takes a free one).")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), help="The root directory (default ./var).")
@click.option(
    "--workers", type=int, help="Processes that share the port (default 1): one writes, the others answer downloads."
)
@click.option("--insecure", is_flag=True, default=None, help="Listen on anything, without tokens.")
@click.option("--tokens", type=click.Choice(["auto", "required", "off"]), help="Ask for tokens (auto: off loopback).")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to log.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="In which form (default text).")
@click.option("--access-log/--no-access-log", default=None, help="A line for each request (default: none).")
def serve(**flags: Any) -> None:
    """Run the gateway on a root until it is told to stop.

    It makes an empty root and migrates an older one. SIGINT and SIGTERM let what is under way end; a second signal does
    not.
    """
    from artifactstore.api import server

    with meant():
        settings = Settings.load(**flags)
    server.serve(settings)
