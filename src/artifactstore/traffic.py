"""Load on a server, measured: HTTP/1.1 on plain sockets, since a whole client costs more than what it would measure.

`transfer` sends one large body, or receives one, on a connection of its own; `drive` keeps many connections busy with
small jobs, each connection with one request at a time. What is sent is random: no server has it already.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self, cast

from yarl import URL

from artifactstore.domain.errors import ForbiddenError, InvalidInputError, RemoteError, UnauthenticatedError

#: A unit of load: yields whole requests, is sent the answer of each, raises RemoteError if one is not as it should be.
type Job = Generator[bytes, Answer, None]

_BLOCK = 4 * 2**20  # of random bytes, repeated through a large body
_PIECE = 2**20
_HEAD_LIMIT = 64 * 2**10
_KEPT = 64 * 2**10  # of an answer's body; the rest is counted
_IDLE_SECONDS = 300.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a server listens, and the token that is shown to it. `tls` is None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> Self:
        """The host and port of an http or https address; InvalidInputError. A path is not taken."""
        try:
            address = URL(url)
        except ValueError:
            address = URL()
        if address.host is None or address.port is None or address.path != "/" or address.scheme[:4] != "http":
            raise InvalidInputError(f"{url!r} is not the address of a server", field="server")
        tls = ssl.create_default_context() if address.scheme == "https" else None
        return cls(address.host, address.port, tls, token)

    def request(self, method: str, path: str, body: bytes = b"", *fields: str, length: int | None = None) -> bytes:
        """A whole request, or its head when `length` announces a body that follows."""
        sent = len(body) if length is None else length
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {sent}", *fields]
        if method == "GET":
            del lines[2]
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def connect(self) -> socket.socket:
        """A blocking connection; OSError."""
        connection = socket.create_connection((self.host, self.port), timeout=_IDLE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection if self.tls is None else self.tls.wrap_socket(connection, server_hostname=self.host)


@dataclass(slots=True)
class Answer:
    """An answer: its head, the first bytes of its body, and how many bytes the body had."""

    status: int
    head: bytes
    length: int | None  # as announced; None for a body that ends with the connection
    body: bytearray = field(default_factory=bytearray)
    size: int = 0

    @classmethod
    def parse(cls, head: bytes) -> Self:
        """Read a head, which ends in an empty line; RemoteError."""
        status = _STATUS.match(head)
        if status is None:
            raise RemoteError("the server answered what is not HTTP/1.1")
        if re.search(rb"\r\ntransfer-encoding:", head, re.IGNORECASE):
            raise RemoteError("the server answered in chunks, which this client does not read")
        length = _LENGTH.search(head)
        number = int(status[1])
        bare = number in (204, 304) or number < 200
        return cls(number, head, 0 if bare else None if length is None else int(length[1]))

    def header(self, name: str) -> str | None:
        """The value of a header field."""
        found = re.search(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r]*)", self.head, re.IGNORECASE)
        return None if found is None else found[1].decode("latin-1").strip()

    def take(self, data: memoryview) -> bool:
        """The next bytes of the body; whether that was all."""
        self.size += len(data)
        if len(self.body) < _KEPT:
            self.body += data[: _KEPT - len(self.body)]
        return self.length is not None and self.size >= self.length

    def expect(self, *statuses: int) -> Self:
        """This answer, if it has one of these statuses; else UnauthenticatedError, ForbiddenError or RemoteError."""
        if self.status not in statuses:
            if self.status == 401:
                raise UnauthenticatedError("the server answered 401: it wants a token that is in force")
            if self.status == 403:
                raise ForbiddenError("the server answered 403: the token does not grant this")
            raise RemoteError(f"the server answered {self.status}: {bytes(self.body[:200]).decode(errors='replace')}")
        return self


class RandomBody:
    """A body of so many bytes that nobody has seen before: one random block, over and over."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._block = memoryview(os.urandom(min(size, _BLOCK)))

    def __iter__(self) -> Iterator[memoryview]:
        left = self.size
        while left:
            for at in range(0, min(left, len(self._block)), _PIECE):
                piece = self._block[at : at + min(_PIECE, left)]
                yield piece
                left -= len(piece)


def transfer(peer: Peer, request: bytes, body: Iterable[memoryview] = ()) -> Answer:
    """Send a request and a body, receive the answer to its last byte. Blocking. RemoteError."""
    try:
        with peer.connect() as connection:
            try:
                connection.sendall(request)
                for piece in body:
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # a server that refuses a body need not read it; its answer says why
            return _receive(connection)
    except OSError as error:
        raise RemoteError(f"{peer.host}:{peer.port} does not answer: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    # asyncio words a refused connection in its own way; a time-out has no words at all
    if isinstance(error, ssl.SSLError):  # its number is OpenSSL's
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason.replace('_', ' ').lower()}"
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def _receive(connection: socket.socket) -> Answer:
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    answer, head, done = None, b"", False
    while not done:
        count = connection.recv_into(buffer)
        if count == 0:
            break
        if answer is not None:
            done = answer.take(view[:count])
            continue
        head += view[:count]
        answer, rest = _split(head)
        done = answer is not None and answer.take(memoryview(rest))
    if answer is None or (answer.length is not None and not done):
        raise RemoteError("the server closed the connection before its answer was whole")
    return answer


def _split(received: bytes) -> tuple[Answer | None, bytes]:
    """The answer whose head is in `received`, if it is whole, and what follows it."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > _HEAD_LIMIT:
            raise RemoteError("the server answered with a head without an end")
        return None, received
    return Answer.parse(received[: end + 4]), received[end + 4 :]


@dataclass(slots=True)
class Load:
    """What `drive` measured: the time of all jobs, and of each, in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Jobs finished per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, part: float) -> float:
        """The latency that this part of the jobs did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


async def drive(peer: Peer, jobs: Iterable[Job], connections: int) -> Load:
    """Work off the jobs over so many connections, each of which takes the next one when it is free. RemoteError."""
    load, waiting = Load(), iter(jobs)
    loop = asyncio.get_running_loop()
    lanes = [_Lane(waiting, load, loop.create_future()) for _ in range(connections)]
    try:
        for lane in lanes:
            await loop.create_connection(lambda lane=lane: lane, peer.host, peer.port, ssl=peer.tls)
        begin = time.perf_counter()
        for lane in lanes:
            lane.start()
        await asyncio.gather(*(lane.finished for lane in lanes))
        load.seconds = time.perf_counter() - begin
    except OSError as error:
        raise RemoteError(f"{peer.host}:{peer.port} does not answer: {_reason(error)}") from error
    finally:
        for lane in lanes:
            lane.close()
    return load


class _Lane(asyncio.BufferedProtocol):
    """One connection: a job at a time, a request at a time."""

    def __init__(self, jobs: Iterator[Job], load: Load, finished: asyncio.Future[None]) -> None:
        self.finished = finished
        self._jobs = jobs
        self._load = load
        self._buffer = bytearray(256 * 2**10)
        self._transport: asyncio.Transport | None = None
        self._job: Job | None = None
        self._begin = 0.0
        self._head = b""
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._received(memoryview(self._buffer)[:nbytes])
        except Exception as error:
            self._finish(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(RemoteError(f"the server closed a connection: {exc or 'no answer came'}"))

    def start(self) -> None:
        """Begin with the next job; finished if there is none."""
        job = next(self._jobs, None)
        if job is None:
            self._finish(None)
            return
        self._job, self._begin = job, time.perf_counter()
        self._send(next(job))

    def close(self) -> None:
        """Give up the connection."""
        self._finish(None)
        if self._transport is not None:
            self._transport.abort()

    def _send(self, request: bytes) -> None:
        self._head, self._answer = b"", None
        if self._transport is not None:
            self._transport.write(request)

    def _received(self, data: memoryview) -> None:
        if self._answer is not None:
            whole = self._answer.take(data)
        else:
            self._head += data
            self._answer, rest = _split(self._head)
            whole = self._answer is not None and self._answer.take(memoryview(rest))
        if whole and self._job is not None and self._answer is not None:
            try:
                self._send(self._job.send(self._answer))
            except StopIteration:
                self._load.latencies.append(time.perf_counter() - self._begin)
                self.start()

    def _finish(self, error: Exception | None) -> None:
        if self.finished.done():
            return
        if error is None:
            self.finished.set_result(None)
        else:
            self.finished.set_exception(error)
