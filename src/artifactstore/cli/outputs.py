"""Files that commands write."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from artifactstore.cli.target import naming


def refuse_existing(path: Path, *, force: bool) -> None:
    """Fail if a file is there already, unless it may be replaced."""
    if path.is_file() and not force:
        raise click.ClickException(f"{path} is there already; --force replaces it")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, under a temporary name beside `path`: synced, and given its name, when the block ends well."""
    if path.exists() and not path.is_file():  # a device or a pipe: nothing may take its place
        with naming(path), path.open("wb") as file:
            yield file
        return
    temporary = path.with_name(f".artifactstore-{secrets.token_hex(8)}")
    with naming(path, temporary):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
