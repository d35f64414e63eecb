"""Blocks: the buffers that bodies are received into, digested in and written from, used over and over.

They are page-aligned, as direct writes want them, and a page that was touched once costs nothing to touch again.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

#: What one step of a thread takes, in bytes: it stays in a core's cache between being received and being digested.
BLOCK_BYTES = 512 * 1024
#: How many blocks are kept for the next upload.
_KEPT = 16


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
    """Blocks that are used again. For one event loop."""

    def __init__(self) -> None:
        self._idle: list[Block] = []

    def take(self) -> Block:
        """An empty block."""
        return self._idle.pop() if self._idle else Block(memoryview(mmap.mmap(-1, BLOCK_BYTES)))

    def give_back(self, block: Block) -> None:
        """Nobody uses the block any more."""
        block.filled = 0
        if len(self._idle) < _KEPT:
            self._idle.append(block)
