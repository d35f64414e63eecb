"""Requests to a server, and what its answers mean: a document, or an error of the domain."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict, istr
from uuid_utils import uuid7
from yarl import URL

from artifactstore.domain import errors
from artifactstore.tracing import SCOPE, TRACEPARENT

#: How long a server may say nothing, in seconds. There is no limit on a whole transfer.
PATIENCE = 300.0
_CONNECT = 30.0
#: How long is waited before a request whose answer was lost is sent again, in seconds.
_PAUSES = (0.2, 1.0, 3.0)
#: What says that a connection broke, or was never made.
_BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError, ConnectionError)
_PROBLEM = "urn:artifact-store:problem:"


def _tree(base: type[errors.ArtifactStoreError]) -> list[type[errors.ArtifactStoreError]]:
    return [base, *(error for child in base.__subclasses__() for error in _tree(child))]


_ERRORS = {error.code: error for error in _tree(errors.ArtifactStoreError)}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a server refused: the error to raise, and the document that says so (empty if there was none)."""

    error: errors.ArtifactStoreError
    document: Mapping[str, Any]


class Connection:
    """A server's address and the connections to it, made when they are first needed."""

    def __init__(self, url: str, token: str | None = None) -> None:
        if token is not None and not (token.isascii() and token.isprintable()):
            raise errors.InvalidInputError("the token is none: one begins with ast_", field="token")
        self._token = token
        self.base = url.rstrip("/")
        try:
            parsed = URL(self.base)
            usable = parsed.scheme in ("http", "https") and parsed.host is not None
        except ValueError:
            usable = False
        if not usable:
            raise errors.InvalidInputError(
                f"{url!r} is not the address of a server, such as http://127.0.0.1:8000", field="server"
            )
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        headers: Mapping[istr, str] | Iterable[tuple[str, str]] = (),
        **arguments: Any,
    ) -> aiohttp.ClientResponse:
        """Send a request; the answer, whatever its status, is the caller's to close. `path` is percent-encoded."""
        if self._closed:
            raise errors.RemoteError(f"the connection to {self.base} is closed")
        url = URL(self.base + path, encoded=True)
        if query:
            url = url.with_query(query)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT, sock_read=PATIENCE)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        fields = CIMultiDict(headers)
        if self._token is not None:
            fields[hdrs.AUTHORIZATION] = f"Bearer {self._token}"
        if (scope := SCOPE.get()) is not None:
            fields[TRACEPARENT] = scope.trace.header()
        try:
            # A redirect is not followed: an upload's source cannot be read twice.
            return await self._session.request(method, url, headers=fields, allow_redirects=False, **arguments)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.RemoteError(f"{self.base} does not answer: {reason(error)}") from error

    @asynccontextmanager
    async def sent(self, method: str, path: str, **arguments: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, whatever its status."""
        response = await self.send(method, path, **arguments)
        try:
            yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise errors.RemoteError(f"{self.base} broke off: {reason(error)}") from error
        finally:
            response.release()

    async def ask[T](self, method: str, path: str, parse: Callable[[dict[str, Any]], T], **arguments: Any) -> T:
        """What `parse` makes of the answer's document; a refusal is raised as the domain's error."""
        async with self.sent(method, path, **arguments) as response:
            await raise_problem(response)
            body = await response.read()
        with self.understood():
            return parse(_document(body))

    async def once[T](self, attempt: Callable[[tuple[str, str]], Awaitable[T]], *, repeatable: bool = True) -> T:
        """What `attempt` makes of a request that has the field it is given: a key, so that it happens once.

        When its answer is lost it is sent again, if it is `repeatable`, three times at most.
        """
        key = ("Idempotency-Key", str(uuid7()))
        lost = False
        for pause in _PAUSES if repeatable else ():
            try:
                return await attempt(key)
            except errors.RemoteError as error:
                broken = isinstance(error.__cause__, _BROKEN)
                lost = lost or (broken and not isinstance(error.__cause__, aiohttp.ClientConnectorError))
                if not (broken and lost):  # it answered, if not what it should, or nobody was there in the first place
                    raise
            except errors.RequestInProgressError:  # as it is while the server ends what was sent before
                if not lost:
                    raise
            await asyncio.sleep(pause)
        return await attempt(key)

    @contextmanager
    def understood(self) -> Iterator[None]:
        """RemoteError while reading an answer that no server of ours gives."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, errors.InvalidInputError) as error:
            raise errors.RemoteError(f"{self.base} answered what is not artifact-store's") from error

    async def close(self) -> None:
        """Give up the connections. Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def problem_of(response: aiohttp.ClientResponse) -> Problem | None:
    """Why the server refused; None if it did not. The answer to HEAD has no document: ask again with GET."""
    if response.status < 300:
        return None
    try:
        document = _document(await response.read())
        kind, detail = str(document["type"]), str(document["detail"])
    except (ValueError, TypeError, KeyError, aiohttp.ClientError):
        return Problem(errors.RemoteError(f"the server answered {response.status} without saying why"), {})
    error = _ERRORS.get(kind.removeprefix(_PROBLEM), errors.RemoteError)
    if issubclass(error, errors.InvalidInputError | errors.UnauthenticatedError | errors.ForbiddenError):
        return Problem(error(detail, field=document.get("field")), document)
    return Problem(error(detail), document)


async def raise_problem(response: aiohttp.ClientResponse) -> None:
    """Raise what a refusal means."""
    problem = await problem_of(response)
    if problem is not None:
        raise problem.error


def _document(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    return document


def reason(error: BaseException) -> str:
    """What an error of the connection says, in a few words on one line."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause: BaseException = error.certificate_error
    else:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError):  # its number is OpenSSL's
        return "TLS: " + (getattr(cause, "verify_message", "") or cause.reason.replace("_", " ").lower())
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        return os.strerror(cause.errno)
    text = cause.strerror if isinstance(cause, socket.gaierror) and cause.strerror else str(cause)
    return " ".join(text.split()) or type(cause).__name__
