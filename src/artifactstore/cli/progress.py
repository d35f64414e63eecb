"""Progress on a terminal; nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(total: int | None, what: str, *, quiet: bool, unit: str = "B") -> tqdm[Never]:
    """A bar on standard error. `quiet` (`--json`), or a standard error that is no terminal, shows none."""
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        unit_scale=True,
        disable=quiet or not sys.stderr.isatty(),
        file=sys.stderr,
        leave=False,
    )


async def counted(stream: AsyncIterable[bytes], shown: tqdm[Never]) -> AsyncIterator[bytes]:
    """The stream, counted by the bar as it passes."""
    async for chunk in stream:
        yield chunk
        shown.update(len(chunk))
