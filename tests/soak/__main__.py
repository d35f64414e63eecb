"""`python -m tests.soak --minutes N`: the soak on a root of its own, which stays if something is wrong."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path

import click

from tests.soak.run import soak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="of an earlier run")
    parser.add_argument("--directory", type=Path, help="where the root is made; a temporary one by default")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="soak-", dir=given.directory))
    click.echo(f"seed {given.seed}, root {place / 'root'}")
    known = asyncio.run(soak(place / "root", given.minutes * 60, given.seed, click.echo))
    shutil.rmtree(place)
    click.echo(f"sound: {len(known.kept)} objects, {len(known.packages)} packages; {dict(known.done)}")


if __name__ == "__main__":
    main()
