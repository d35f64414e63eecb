"""What the processes of one gateway tell each other: messages over a pair of local sockets, with open connections.

A message is a JSON document, or a connection of a client with the bytes that were received of it. The other end is the
same version of this program, started by it, so nothing is checked; the end of the channel is the end of the process.
"""

from __future__ import annotations

import array
import asyncio
import json
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)

#: Of received bytes, what travels in the message itself. More is in a file in memory.
_INLINE_BYTES = 32 * 1024
_MESSAGE_BYTES = 192 * 1024  # of the largest message
_DOCUMENT, _CONNECTION, _LONG_CONNECTION = b"D", b"C", b"L"
_DESCRIPTORS = 2

type Documents = Callable[[dict[str, Any]], None]
type Connections = Callable[[socket.socket, bytes], None]


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _MESSAGE_BYTES)
    return ends


def first(end: socket.socket) -> dict[str, Any]:
    """The first document that comes, waited for; EOFError if none does."""
    end.setblocking(True)
    message = end.recv(_MESSAGE_BYTES)
    if not message:
        raise EOFError("the other end is gone")
    document: dict[str, Any] = json.loads(message[1:])
    return document


class Channel:
    """One end, for the loop that it is made in. `lost` is called once, when the other end is gone."""

    def __init__(
        self, end: socket.socket, *, documents: Documents, connections: Connections, lost: Callable[[], None]
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._documents = documents
        self._connections = connections
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()  # with the descriptors, which are ours to close
        self._loop.add_reader(end.fileno(), self._receive)

    # --- sending ----------------------------------------------------------------------------------------------------

    def tell(self, document: dict[str, Any]) -> None:
        """Send a document. Neither waits nor fails."""
        self._send(_DOCUMENT + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), ())

    def give(self, connection: int, received: bytes) -> None:
        """Send a connection's descriptor, closed here, and what was received of it. Neither waits nor fails."""
        if len(received) <= _INLINE_BYTES:
            self._send(_CONNECTION + received, (connection,))
            return
        try:
            file = os.memfd_create("received", os.MFD_CLOEXEC)
        except OSError as error:
            _log.error("a connection is given up: %s", error)
            os.close(connection)
            return
        with os.fdopen(file, "wb", closefd=False) as written:
            written.write(received)
        self._send(_LONG_CONNECTION, (connection, file))

    def _send(self, message: bytes, descriptors: tuple[int, ...]) -> None:
        self._waiting.append((message, descriptors))
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._waiting:
            message, descriptors = self._waiting[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                self._end.sendmsg([message], rights)
            except BlockingIOError:
                self._loop.add_writer(self._end.fileno(), self._go_on)
                return
            except (BrokenPipeError, ConnectionResetError):
                pass  # the other end is gone, which reading tells
            except OSError as error:
                _log.error("a message of %d bytes is not sent to another process: %s", len(message), error)
            self._waiting.popleft()
            _close(descriptors)

    def _go_on(self) -> None:
        self._loop.remove_writer(self._end.fileno())
        self._flush()

    # --- receiving --------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        while self._end.fileno() >= 0:
            try:
                message, ancillary, _, _ = self._end.recvmsg(
                    _MESSAGE_BYTES, socket.CMSG_SPACE(_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # the other end is gone; what it has sent before is still there
            if not message:
                self.close()
                self._lost()
                return
            self._dispatch(message, [descriptor for item in ancillary for descriptor in array.array("i", item[2])])

    def _dispatch(self, message: bytes, descriptors: list[int]) -> None:
        kind, content = message[:1], message[1:]
        if kind == _DOCUMENT:
            self._documents(json.loads(content))
            return
        if len(descriptors) != (2 if kind == _LONG_CONNECTION else 1):
            _log.error("a connection is given up: this process has no descriptor free")
            _close(tuple(descriptors))
            return
        connection, *files = descriptors
        for file in files:
            with os.fdopen(file, "rb") as received:
                received.seek(0)
                content = received.read()
        self._connections(socket.socket(fileno=connection), content)

    def finish(self) -> None:
        """Send what waits, however long that takes, and give up this end."""
        if self._end.fileno() >= 0:
            self._end.setblocking(True)
            self._flush()
        self.close()

    def close(self) -> None:
        """Give up this end, and what was not sent. Idempotent."""
        if self._end.fileno() >= 0:
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())
            self._end.close()
        while self._waiting:
            _close(self._waiting.popleft()[1])


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
