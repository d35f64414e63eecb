"""What `/metrics` says after traffic that is known to the byte."""

from __future__ import annotations

import asyncio
import hashlib
import os

from prometheus_client.parser import text_string_to_metric_families

from artifactstore.dataplane.blocks import BLOCK_BYTES
from artifactstore.hashing import active_kernel
from tests.conftest import Gateway
from tests.http.conftest import Client
from tests.http.wire import connect, request, settled

DATA = b"one"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"

type Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(http: Client) -> Samples:
    answer = await http("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"artifactstore_{name}", frozenset(labels.items())]


def labelled(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The samples of that name by the values of their labels, in the order of the labels' names."""
    return {
        tuple(text for _, text in sorted(labels)): count
        for (found, labels), count in samples.items()
        if found == f"artifactstore_{name}"
    }


async def test_known_traffic_is_counted_exactly(gateway: Gateway, http: Client) -> None:
    store, sent, received = request("POST", "/v1/objects", "Content-Length: 3") + "one", 0, 0
    wire = await connect(gateway)
    for text in (
        store,
        store,
        request("GET", f"/v1/objects/{DIGEST}"),
        request("HEAD", f"/v1/objects/{DIGEST}"),
        request("PUT", f"/v1/objects/{DIGEST}", "Expect: 100-continue", "Content-Length: 3"),
    ):
        await wire.send(text)
        head = await wire.reader.readuntil(b"\r\n\r\n")
        length = 0 if text.startswith("HEAD") else int(head.lower().partition(b"content-length:")[2].split()[0])
        received += len(head) + len(await wire.reader.readexactly(length))
        sent += 3 if text == store else 0
    await wire.close()
    for text in (
        request("GET", "/v1/objects/nonsense", "Connection: close"),
        request("GET", "/v1/nowhere", "Connection: close"),
        request("PROPFIND", "/v1/objects", "Connection: close"),
        "nonsense\r\n\r\n",
    ):
        wire = await connect(gateway)
        await wire.send(text)
        received += len(await wire.reader.read())
        await wire.close()

    samples = await scrape(http)
    assert labelled(samples, "http_requests_total") == {
        ("POST", "/v1/objects", "2xx"): 2,
        ("GET", "/v1/objects/{digest}", "2xx"): 1,
        ("HEAD", "/v1/objects/{digest}", "2xx"): 1,
        ("PUT", "/v1/objects/{digest}", "2xx"): 1,
        ("GET", "/v1/objects/{digest}", "4xx"): 1,
        ("GET", "unmatched", "4xx"): 1,
        ("other", "/v1/objects", "4xx"): 1,
        ("other", "malformed", "4xx"): 1,
    }
    assert labelled(samples, "http_request_duration_seconds_count") == {
        ("POST", "/v1/objects"): 2,
        ("GET", "/v1/objects/{digest}"): 2,
        ("HEAD", "/v1/objects/{digest}"): 1,
        ("PUT", "/v1/objects/{digest}"): 1,
        ("GET", "unmatched"): 1,
        ("other", "/v1/objects"): 1,
        ("other", "malformed"): 1,
    }
    assert value(samples, "http_received_bytes_total") == sent
    assert value(samples, "http_sent_bytes_total") == received
    assert value(samples, "http_requests_in_flight") == 1  # this one
    assert value(samples, "new_objects_total") == 1
    assert value(samples, "dedupe_hits_total") == 2
    assert value(samples, "log_append_duration_seconds_count") == 3
    assert value(samples, "log_append_duration_seconds_bucket", le="+Inf") == 3
    assert value(samples, "log_append_duration_seconds_sum") > 0
    assert value(samples, "log_batch_requests_bucket", le="1.0") == 3
    assert value(samples, "log_head") == await gateway.store.registry.head()
    assert value(samples, "views_lag_events") == 0
    assert value(samples, "log_wal_bytes") == sum(
        path.stat().st_size for path in (gateway.root / "registry").glob("*-wal")
    )
    assert value(samples, "log_wal_bytes") > 0
    assert (value(samples, "backend_healthy"), value(samples, "log_healthy")) == (1, 1)
    assert value(samples, "disk_free_bytes") > 0
    assert value(samples, "retrievals_waiting") == 1
    assert value(samples, "retrievals_dropped_total") == 0
    ((kernel, _),) = labelled(samples, "kernel_info")
    assert kernel == active_kernel()
    assert samples["process_open_fds", frozenset()] > 0

    assert value(await scrape(http), "http_requests_total", method="GET", route="/metrics", status="2xx") == 1


async def test_no_label_is_what_a_client_chose(gateway: Gateway, http: Client) -> None:
    for method, path in (
        ("PUT", "/v1/files/some-space/some-name"),
        ("GET", "/v1/files/some-space/some-name"),
        ("GET", "/v1/files/some-space/no-such"),
        ("GET", "/some-address"),
        ("PROPFIND", "/some"),
    ):
        await http(method, path, headers={"Artifact-Kind": "some-kind"})
    samples = await scrape(http)
    assert ("PUT", "/v1/files/{namespace}/{name}", "2xx") in labelled(samples, "http_requests_total")
    assert {name for _, labels in samples for name, _ in labels} <= {
        *("method", "route", "status", "le", "name", "version")
    }
    assert not any("some" in text.lower() for _, labels in samples for _, text in labels)


async def test_an_upload_under_way_is_seen(gateway: Gateway, http: Client) -> None:
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", f"Content-Length: {BLOCK_BYTES + 100_000}"))
    await wire.send("x" * (BLOCK_BYTES + 50_000))
    samples = await scrape(http)
    # the block that is full goes to the disk in pieces
    while value(samples, "promised_bytes") != 100_000 or value(samples, "staging_bytes") < BLOCK_BYTES:
        await wire.pause()
        samples = await scrape(http)
    assert value(samples, "uploads_in_flight") == value(samples, "staging_files") == 1
    assert value(samples, "staging_bytes") == BLOCK_BYTES
    assert value(samples, "http_requests_in_flight") == 2
    await wire.close()
    await settled(gateway)
    while value(samples, "http_requests_in_flight") != 1:
        await wire.pause()
        samples = await scrape(http)
    for name in ("uploads_in_flight", "staging_files", "staging_bytes", "promised_bytes"):
        assert value(samples, name) == 0, name
    assert value(samples, "http_received_bytes_total") == BLOCK_BYTES + 50_000
    outcomes = labelled(samples, "http_requests_total")
    assert sum(count for (_, route, _), count in outcomes.items() if route == "/v1/objects") == 1


async def test_a_download_that_breaks_off_is_aborted(gateway: Gateway, http: Client) -> None:
    stored = await gateway.store.put_object(os.urandom(32 * 2**20))
    wire = await connect(gateway)
    await wire.send(request("GET", f"/v1/objects/{stored.identity.blake3}"))
    await wire.head()
    wire.writer.transport.abort()
    samples = await scrape(http)
    while value(samples, "http_requests_in_flight") != 1:
        await wire.pause()
        samples = await scrape(http)
    assert value(samples, "http_requests_total", method="GET", route="/v1/objects/{digest}", status="aborted") == 1


async def test_scrapes_at_once_are_all_answered(gateway: Gateway, http: Client) -> None:
    for samples in await asyncio.gather(*(scrape(http) for _ in range(8))):
        assert value(samples, "backend_healthy") == 1
