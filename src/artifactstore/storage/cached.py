"""Opening a file that the kernel has at hand: openat2(2) with RESOLVE_CACHED, in Linux since 5.12.

It fails where a directory would have to be read from the disk. So on a file system of this machine an event loop may
call it: it waits for nothing, and saves the way to a thread and back (ADR-0041). A file system that asks another
machine or process (NFS, FUSE) may ask it at the opening itself.
"""

from __future__ import annotations

import ctypes
import os

_OPENAT2 = 437  # the number of the call, the same on every architecture
_AT_FDCWD = -100
_RESOLVE_CACHED = 0x20  # linux/openat2.h
#: ext2 to ext4, XFS, Btrfs, F2FS, tmpfs: statfs(2).
_OWN_FILE_SYSTEMS = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})
_STATFS_BYTES = 512  # more than the structure has anywhere; its first member is the type, a long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# Not a CDLL: that gives up the interpreter's lock for the call, and whoever takes it keeps it for longer than it lasts.
_syscall = ctypes.PyDLL(None).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
_syscall.restype = ctypes.c_long


def opens_at_once(directory: str) -> bool:
    """Whether files below can be opened so: the file system is one that asks nobody. Blocking."""
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(directory), found) != 0:
        return False
    return ctypes.c_ulong.from_buffer(found).value in _OWN_FILE_SYSTEMS


def open_cached(path: str, flags: int) -> int | None:
    """A descriptor, or None: it could not be opened without waiting, or not at all. `flags` as of `os.open`."""
    how = _OpenHow(flags, 0, _RESOLVE_CACHED)
    descriptor: int = _syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    return None if descriptor < 0 else descriptor
