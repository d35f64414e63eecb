"""Blocks: the buffers that bodies are received into, digested in and written from, used over and over.

They are page-aligned, as direct writes want them, and a page that was touched once costs nothing to touch again.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

#: What one step of a thread takes, in bytes. To hand a block over costs the same whatever its size, some tenth of a
#: millisecond, so large ones pay (ADR-0038); a slow sender, of which there may be many, gets by with a small one.
BLOCK_BYTES = 2 * 2**20
SMALL_BLOCK_BYTES = 256 * 1024
#: How many large blocks there are at most, for all uploads: three for each of eight at full speed.
LARGE_BLOCKS = 24
#: How many small ones are kept for the next upload.
_KEPT = 32


@dataclass(slots=True)
class Block:
    """A buffer, and how many bytes of it are filled."""

    room: memoryview
    filled: int = 0

    @property
    def full(self) -> bool:
        """Whether no byte fits in any more."""
        return self.filled == len(self.room)

    @property
    def content(self) -> memoryview:
        """What it is filled with."""
        return self.room if self.full else self.room[: self.filled]


class BlockPool:
    """Blocks that are used again: large ones as long as there are some, small ones then. For one event loop."""

    def __init__(self) -> None:
        self._large: list[Block] = []
        self._small: list[Block] = []
        self._made = 0  # large ones

    def take(self) -> Block:
        """An empty block."""
        if self._large:
            return self._large.pop()
        if self._made < LARGE_BLOCKS:
            self._made += 1
            return _block(BLOCK_BYTES)
        return self._small.pop() if self._small else _block(SMALL_BLOCK_BYTES)

    def give_back(self, block: Block) -> None:
        """Nobody uses the block any more."""
        block.filled = 0
        if len(block.room) == BLOCK_BYTES:
            self._large.append(block)
        elif len(self._small) < _KEPT:
            self._small.append(block)


def _block(size_bytes: int) -> Block:
    return Block(memoryview(mmap.mmap(-1, size_bytes)))
