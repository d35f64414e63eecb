"""Blocks: large ones as long as there are some, small ones then; those that were given back are used again."""

from __future__ import annotations

from artifactstore.dataplane.blocks import BLOCK_BYTES, LARGE_BLOCKS, SMALL_BLOCK_BYTES, BlockPool


def test_large_blocks_come_first_and_small_ones_when_they_are_in_use() -> None:
    pool = BlockPool()
    large = [pool.take() for _ in range(LARGE_BLOCKS)]
    small = [pool.take() for _ in range(40)]
    assert {len(block.room) for block in large} == {BLOCK_BYTES}
    assert {len(block.room) for block in small} == {SMALL_BLOCK_BYTES}
    large[3].filled = 17
    pool.give_back(large[3])
    again = pool.take()
    assert again is large[3]
    assert again.filled == 0
    assert len(pool.take().room) == SMALL_BLOCK_BYTES


def test_a_block_is_whole_pages_for_direct_writes() -> None:
    pool = BlockPool()
    for size in (BLOCK_BYTES, SMALL_BLOCK_BYTES):
        assert size % 4096 == 0
    block = pool.take()
    block.filled = 100
    assert len(block.content) == 100
    assert not block.full
    block.filled = len(block.room)
    assert block.full
    assert block.content is block.room
