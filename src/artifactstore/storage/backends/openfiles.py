"""Files of objects kept open for whoever reads them next.

Theory of operation. To open a file may wait for the disk, so a thread does it, and the way there and back costs as much
as to send a megabyte. A file that was read is therefore kept open for a while. What is kept is never believed: each
time its name is looked up again, and the descriptor is used only if the name leads to the very same file, with the same
size and mode. That look is as good as opening anew, so nothing here can outlive a deletion, a mend or damage. It reads
no disk: the kernel holds the names and the inode of a file that is open. Its number is not given to another meanwhile.

What is deleted or replaced is let go at once, and what is idle after a while, so that its space becomes free. A
descriptor is closed when it is not kept any more and its last reader has left. For one event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict

from artifactstore.domain.digest import Digest

#: Files kept open at most, those read last.
LIMIT = 64
#: Smaller ones, in bytes, are not worth it: whoever reads them often keeps them in memory.
LEAST_BYTES = 64 * 1024
#: For how long one is kept that nobody reads, in seconds: between once and twice that.
IDLE_SECONDS = 10.0


class OpenFile:
    """An opened file. `descriptor` is valid until its last user leaves."""

    __slots__ = ("_file", "_path", "_size_mode", "descriptor", "kept", "read", "size_bytes", "users")

    def __init__(self, path: str, descriptor: int, found: os.stat_result) -> None:
        self.descriptor = descriptor
        self.size_bytes = found.st_size
        self.users = 1
        self.kept = False
        self.read = True  # since the last look at what is idle
        self._path = path
        self._file = (found.st_dev, found.st_ino)
        self._size_mode = (found.st_size, found.st_mode)

    def is_what_its_name_says(self) -> bool:
        """Whether the name leads to this file, unchanged as far as that can be seen from outside."""
        try:
            found = os.lstat(self._path)
        except OSError:
            return False
        return self._file == (found.st_dev, found.st_ino) and self._size_mode == (found.st_size, found.st_mode)


class OpenFiles:
    """The files that are kept open, by address."""

    def __init__(self) -> None:
        self._files: OrderedDict[Digest, OpenFile] = OrderedDict()  # in the order of the last reads, oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, address: Digest) -> OpenFile | None:
        """The object's file for one more user, if it is open and still what its name says."""
        file = self._files.get(address)
        if file is None:
            return None
        if not file.is_what_its_name_says():
            self.forget(address)
            return None
        self._files.move_to_end(address)
        file.users += 1
        file.read = True
        return file

    def keep(self, address: Digest, file: OpenFile) -> None:
        """Keep a file that was just opened, unless it is small, or was removed or replaced since."""
        if self._closed or file.size_bytes <= LEAST_BYTES or not file.is_what_its_name_says():
            return
        self.forget(address)
        self._files[address] = file
        file.kept = True
        if len(self._files) > LIMIT:
            self._let_go(self._files.popitem(last=False)[1])
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._look_for_idle)

    def leave(self, file: OpenFile) -> None:
        """One user needs the descriptor no more."""
        file.users -= 1
        if not file.users and not file.kept:
            os.close(file.descriptor)

    def forget(self, address: Digest) -> None:
        """The object's file is removed, or another takes its place."""
        file = self._files.pop(address, None)
        if file is not None:
            self._let_go(file)

    def close(self) -> None:
        """Keep none any more; readers keep what they have."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for address in list(self._files):
            self.forget(address)

    def _let_go(self, file: OpenFile) -> None:
        file.kept = False
        if not file.users:
            os.close(file.descriptor)

    def _look_for_idle(self) -> None:
        for address, file in list(self._files.items()):
            if not file.read and not file.users:
                self.forget(address)
            file.read = False
        self._timer = None
        if self._files:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._look_for_idle)
