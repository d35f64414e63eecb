"""`/metrics`: what the gateway counts, and how its parts do, as Prometheus text.

No label is what a client chose: no digest, namespace, name or token. Numbers are read when they are asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import accumulate

from aiohttp import hdrs, web
from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

import artifactstore
from artifactstore.api.keys import store_of
from artifactstore.api.requests import OUTCOMES, TALLIES, RequestTallies
from artifactstore.api.workers import WORKERS
from artifactstore.distribution import Distribution
from artifactstore.domain.token import Scope
from artifactstore.hashing import active_kernel
from artifactstore.observation import Observation

_PREFIX = "artifactstore_"


async def get(request: web.Request) -> web.Response:
    """All of it. Looking and writing it out block nobody."""
    store = store_of(request)
    store.caller.require(Scope.READ)  # what it counts is of every namespace
    observer = store.observer
    observation = None if observer is None else await observer.look()
    tallies = await _of_all_processes(request.app)
    body = await asyncio.to_thread(generate_latest, _Exposition(tallies, observation))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_PLAIN_0_0_4})


async def _of_all_processes(app: web.Application) -> RequestTallies:
    if WORKERS not in app:
        return app[TALLIES]
    workers = app[WORKERS]
    await workers.gather()
    together = RequestTallies()
    for document in (app[TALLIES].document(), *workers.tallies()):
        together.add(document)
    return together


class _Exposition(Collector):
    """One scrape. There is no registry of metrics, in the process or elsewhere."""

    def __init__(self, tallies: RequestTallies, observation: Observation | None) -> None:
        self._tallies = tallies
        self._observation = observation

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        yield from _requests(self._tallies)
        if self._observation is not None:
            yield from _bytes(self._observation)
            yield from _facts(self._observation)
        kernel = InfoMetricFamily(f"{_PREFIX}kernel", "The digest kernel in use")
        kernel.add_metric((), {"name": active_kernel(), "version": artifactstore.__version__})
        yield kernel
        yield from ProcessCollector(registry=None).collect()


def _requests(tallies: RequestTallies) -> Iterator[Metric]:
    counts = CounterMetricFamily(
        f"{_PREFIX}http_requests", "Requests by their answer's class", labels=("method", "route", "status")
    )
    seconds = HistogramMetricFamily(
        f"{_PREFIX}http_request_duration_seconds",
        "From a request's head to its answer's end",
        labels=("method", "route"),
    )
    for route, methods in tallies.routes.items():
        for method, tally in methods.items():
            for outcome, count in zip(OUTCOMES, tally.outcomes, strict=True):
                if count:
                    counts.add_metric((method, route, outcome), count)
            if any(tally.seconds.counts):
                _add(seconds, tally.seconds, (method, route))
    yield counts
    yield seconds
    yield _counter("http_received_bytes", "Bytes of requests' bodies", tallies.bytes_in)
    yield _counter("http_sent_bytes", "Bytes of answers, their heads included", tallies.bytes_out)
    yield _gauge("http_requests_in_flight", "Requests that are being answered", tallies.in_flight)


def _bytes(seen: Observation) -> Iterator[Metric]:
    yield _gauge("uploads_in_flight", "Uploads that are being received or published", seen.activity.uploads)
    yield _gauge("staging_files", "Files that are being uploaded into", seen.activity.staging_files)
    yield _gauge("staging_bytes", "Bytes in them", seen.activity.staging_bytes)
    yield _gauge("promised_bytes", "Space promised to uploads and not written yet", seen.activity.promised_bytes)
    yield _counter("dedupe_hits", "Uploads whose object was there", seen.uploads.known)
    yield _counter("new_objects", "Uploads whose object was new", seen.uploads.new)
    yield _gauge("backend_healthy", "Whether the backend can be read and written", int(seen.backend.healthy))
    if seen.backend.free_bytes is not None:
        yield _gauge("disk_free_bytes", "Free space where the objects are", seen.backend.free_bytes)


def _facts(seen: Observation) -> Iterator[Metric]:
    yield _gauge("log_healthy", "Whether the log can be read and the views are as far", int(seen.registry.healthy))
    yield _gauge("log_head", "The number of the last event", seen.registry.head)
    yield _gauge("views_lag_events", "Events that the views lack", seen.registry.head - seen.registry.views_seq)
    yield _histogram("log_append_duration_seconds", "From a request to the log to its answer", seen.appends.seconds)
    yield _histogram("log_batch_requests", "Requests that share a transaction", seen.appends.batch_sizes)
    yield _gauge("log_wal_bytes", "The write-ahead log's size", seen.wal_bytes)
    yield _gauge("retrievals_waiting", "Sums of downloads that are not recorded yet", seen.retrievals_waiting)
    yield _counter("retrievals_dropped", "Downloads that were never recorded", seen.retrievals_dropped)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, meaning, value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, meaning, value)


def _histogram(name: str, meaning: str, values: Distribution) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, meaning, labels=())
    _add(family, values, ())
    return family


def _add(family: HistogramMetricFamily, values: Distribution, labels: Sequence[str]) -> None:
    names = (*(repr(float(bound)) for bound in values.bounds), "+Inf")
    family.add_metric(labels, list(zip(names, accumulate(values.counts), strict=True)), values.total)
