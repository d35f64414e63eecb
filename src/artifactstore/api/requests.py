"""Every request observed: its id, its trace, its part in the metrics, its line in the access log.

A small GET has about 50 microseconds, so what is done for each request is little: the counters of a route are resolved
when the application is made, a trace only when somebody asks for it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web
from uuid_utils import uuid7

from artifactstore.api.fields import REQUEST_ID
from artifactstore.api.keys import actor_of
from artifactstore.distribution import Distribution
from artifactstore.logs import FACTS, escaped
from artifactstore.tracing import SCOPE, TRACEPARENT, Scope

#: Printable, and nothing that a header, a log or a shell reads as more than text.
_WELL_FORMED = re.compile(r"[A-Za-z0-9._~:@/+=-]{1,128}")

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
OTHER = "other"
#: The route of requests that no address is for, and of what is no request.
UNMATCHED, MALFORMED = "unmatched", "malformed"
#: By the status' first digit; the first is of exchanges that broke off before their answer was whole.
OUTCOMES = ("aborted", "1xx", "2xx", "3xx", "4xx", "5xx")
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0)

_log = logging.getLogger("artifactstore.access")


class RouteTally:
    """Requests of one method to one route."""

    __slots__ = ("outcomes", "seconds")

    def __init__(self) -> None:
        self.outcomes = [0] * len(OUTCOMES)
        self.seconds = Distribution(_SECONDS)


class RequestTallies:
    """What is counted of all requests of an application."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.bytes_in = 0  # of bodies
        self.bytes_out = 0  # of answers, their heads included
        self.routes: dict[str, dict[str, RouteTally]] = {}  # by template, then by method
        self._resolved: dict[web.AbstractRoute, dict[str, RouteTally]] = {}
        self._malformed = self._of(MALFORMED, {hdrs.METH_ANY})

    def resolve(self, app: web.Application) -> None:
        """Make the counters of an application's routes, all of which must be there."""
        methods: dict[web.AbstractResource, set[str]] = {}
        for route in app.router.routes():
            if route.resource is not None:
                methods.setdefault(route.resource, set()).add(route.method)
        for route in app.router.routes():
            if route.resource is not None:
                self._resolved[route] = self._of(_template(route.resource), methods[route.resource])

    def _of(self, template: str, methods: set[str]) -> dict[str, RouteTally]:
        tallies = self.routes.setdefault(template, {})
        for method in (*METHODS, OTHER) if hdrs.METH_ANY in methods else methods:
            tallies.setdefault(method, RouteTally())
        return tallies

    def document(self) -> dict[str, Any]:
        """What was counted, to be told to another process."""
        return {
            "in_flight": self.in_flight,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "routes": [
                (template, method, tally.outcomes, tally.seconds.counts, tally.seconds.total)
                for template, methods in self.routes.items()
                for method, tally in methods.items()
                if any(tally.outcomes)
            ],
        }

    def add(self, document: Mapping[str, Any]) -> None:
        """Count what another process has counted; an empty document is nothing."""
        self.in_flight += document.get("in_flight", 0)
        self.bytes_in += document.get("bytes_in", 0)
        self.bytes_out += document.get("bytes_out", 0)
        for template, method, outcomes, counts, total in document.get("routes", ()):
            tally = self.routes.setdefault(template, {}).setdefault(method, RouteTally())
            tally.outcomes = [one + other for one, other in zip(tally.outcomes, outcomes, strict=True)]
            tally.seconds.counts = [one + other for one, other in zip(tally.seconds.counts, counts, strict=True)]
            tally.seconds.total += total

    def of(self, request: web.BaseRequest) -> RouteTally:
        """The counters of the route that a request was led to."""
        match = getattr(request, "_match_info", None)  # None: what is no request was led nowhere
        tallies = self._malformed if match is None else self._resolved.get(match.route, self._malformed)
        return tallies.get(request.method) or tallies[OTHER]


def _template(resource: web.AbstractResource) -> str:
    """A route's address, as docs/http-api.md writes it."""
    if resource.canonical == "/{address}":
        return UNMATCHED
    return resource.canonical.replace("{address}", "{namespace}/{name}")


TALLIES: web.AppKey[RequestTallies] = web.AppKey("tallies", RequestTallies)


class Observatory:
    """Observes the requests of an application."""

    def __init__(self, tallies: RequestTallies, *, access_log: bool = False) -> None:
        self._tallies = tallies
        self._access_log = access_log

    def begin(self, request: web.BaseRequest) -> float:
        """A request begins: give it an id and a scope; the time. Its task has a context of its own."""
        headers = request.headers
        trace = headers.get(TRACEPARENT)
        if trace is not None and len(headers.getall(TRACEPARENT)) > 1:
            trace = None
        SCOPE.set(Scope(_request_id(headers), trace))
        self._tallies.in_flight += 1
        return time.perf_counter()

    def give_away(self) -> None:
        """It goes on in another process, whose request it is."""
        self._tallies.in_flight -= 1

    def end(self, begun: float, request: web.BaseRequest, response: web.StreamResponse | None) -> None:
        """It ended: with an answer that was sent whole, or with None."""
        seconds = time.perf_counter() - begun
        tallies = self._tallies
        tallies.in_flight -= 1
        tallies.bytes_in += request.content.total_bytes
        tallies.bytes_out += request.writer.output_size
        tally = tallies.of(request)
        tally.outcomes[0 if response is None else response.status // 100] += 1
        tally.seconds.add(seconds)
        if self._access_log and _log.isEnabledFor(logging.INFO):
            _write_line(request, response, seconds)


def _request_id(headers: Mapping[str, str]) -> str:
    given = headers.get(REQUEST_ID)
    if given is not None and _WELL_FORMED.fullmatch(given) and len(headers.getall(REQUEST_ID)) == 1:  # type: ignore[attr-defined]  # a multidict
        return given
    return str(uuid7())


def _write_line(request: web.BaseRequest, response: web.StreamResponse | None, seconds: float) -> None:
    match = getattr(request, "_match_info", None)
    path = escaped(request.raw_path.partition("?")[0])
    facts = {
        "method": escaped(request.method),
        "route": MALFORMED if match is None else _template(match.route.resource),
        "path": path,
        "status": None if response is None else response.status,
        "bytes_in": request.content.total_bytes,
        "bytes_out": request.writer.output_size,
        "duration": round(seconds, 6),
        "actor": actor_of(request),
        "remote": request.remote,
    }
    _log.info(
        "%(method)s %(path)s %(status)s in=%(bytes_in)d out=%(bytes_out)d %(duration).6fs %(actor)s %(remote)s",
        facts,
        extra={FACTS: facts},
    )
