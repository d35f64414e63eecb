"""Whether bytes of a file are in memory, so that to send them waits for no disk: cachestat(2), in Linux since 6.5."""

from __future__ import annotations

import ctypes
import mmap

from artifactstore.domain.ranges import ByteRange

_CACHESTAT = 451  # the number of the call, the same on every architecture


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Pages(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    )


# Not a CDLL: that gives up the interpreter's lock for the call, and whoever takes it keeps it for longer than it lasts.
_syscall = ctypes.PyDLL(None).syscall


def is_resident(descriptor: int, byte_range: ByteRange) -> bool:
    """Whether all of a range, which is not empty, is in the page cache now; False where the kernel cannot tell."""
    asked, pages = _Range(byte_range.start, byte_range.length), _Pages()
    if _syscall(_CACHESTAT, descriptor, ctypes.byref(asked), ctypes.byref(pages), 0) != 0:
        return False
    last, first = (byte_range.stop - 1) // mmap.PAGESIZE, byte_range.start // mmap.PAGESIZE
    return bool(pages.cached > last - first)
