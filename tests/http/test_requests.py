"""What a request is called, and what the log says of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from uuid import UUID

import pytest

from artifactstore.logs import JsonFormatter
from artifactstore.remote import RemoteStore
from artifactstore.tracing import continued
from tests.conftest import Gateway, GatewayFactory
from tests.http.conftest import Client
from tests.http.wire import connect, request

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Lines:
    """What is logged, as it goes out in JSON."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def of(self, logger: str) -> list[dict[str, object]]:
        lines = map(json.loads, self._stream.getvalue().splitlines())
        return [line for line in lines if line["logger"] == f"artifactstore.{logger}"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("artifactstore")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield Lines(stream)
    logger.removeHandler(handler)
    logger.setLevel(level)


async def test_a_well_formed_request_id_is_kept(http: Client) -> None:
    for given in ("a", "Root=1-67891233-abcdef012345678912345678", "x" * 128):
        answer = await http("GET", "/v1/nowhere", headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"] == given
        assert (await answer.json())["request_id"] == given


async def test_another_is_replaced(gateway: Gateway) -> None:
    wire = await connect(gateway)
    ids = set()
    malformed = [[f"X-Request-Id: {text}"] for text in ("", "a b", "x{}", '"', "<b>", "ä", "x" * 129, "a,b")]
    for fields in ([], ["X-Request-Id: a", "X-Request-Id: b"], *malformed):
        await wire.send(request("GET", "/health/live", *fields))
        status, headers, _ = await wire.answer()
        assert (status, UUID(headers["x-request-id"]).version) == (200, 7), fields
        ids.add(headers["x-request-id"])
    assert len(ids) == 10
    await wire.close()


@pytest.mark.parametrize("text", ["nonsense\r\n\r\n", request("GET", "/" + "x" * 20_000), "GET /\r\n\r\n"])
async def test_what_is_no_request_has_one_too(gateway: Gateway, text: str) -> None:
    wire = await connect(gateway)
    await wire.send(text)
    _, headers, body = await wire.answer()
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    await wire.close()


async def test_a_line_of_the_access_log_says_what_was_done(start_gateway: GatewayFactory, lines: Lines) -> None:
    gateway = await start_gateway(access_log=True)
    wire = await connect(gateway)
    fields = ("Content-Length: 3", "Authorization: Bearer hush", "X-Request-Id: some-id", f"traceparent: {TRACEPARENT}")
    await wire.send(request("PUT", "/v1/files/default/a%0Ab?secret=hush", *fields) + "one")
    head = await wire.reader.readuntil(b"\r\n\r\n")
    body = await wire.reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
    (line,) = lines.of("access")
    assert float(str(line.pop("duration"))) > 0
    assert len(str(line.pop("span_id"))) == 16
    del line["time"], line["message"]
    assert line == {
        "level": "info",
        "logger": "artifactstore.access",
        "request_id": "some-id",
        "trace_id": TRACE,
        "method": "PUT",
        "route": "/v1/files/{namespace}/{name}",
        "path": "/v1/files/default/a%0Ab",
        "status": 400,
        "bytes_in": 3,
        "bytes_out": len(head) + len(body),
        "actor": "anonymous",
        "remote": "127.0.0.1",
    }
    assert "hush" not in lines._stream.getvalue()
    await wire.close()


async def test_there_is_no_access_log_unless_it_is_asked_for(gateway: Gateway, http: Client, lines: Lines) -> None:
    assert (await http("GET", "/health/live")).status == 200
    assert lines.of("access") == []


@pytest.mark.parametrize("fields", [["traceparent: 00-x"], [f"traceparent: {TRACEPARENT}"] * 2, []])
async def test_a_trace_that_is_not_well_formed_is_not_continued(
    start_gateway: GatewayFactory, lines: Lines, fields: list[str]
) -> None:
    gateway = await start_gateway(access_log=True)
    wire = await connect(gateway)
    for _ in range(2):
        await wire.send(request("GET", "/health/live", *fields))
        assert (await wire.answer())[0] == 200
    traces = {str(line["trace_id"]) for line in lines.of("access")}
    assert len(traces) == 2
    assert TRACE not in traces
    await wire.close()


async def test_the_client_of_a_server_sends_its_callers_trace_on(start_gateway: GatewayFactory, lines: Lines) -> None:
    gateway = await start_gateway(access_log=True)
    async with RemoteStore(gateway.url) as remote:
        with continued(TRACEPARENT):
            stored = await remote.put_object(b"one")
        await remote.object(stored.identity.blake3)
    within, without = lines.of("access")
    assert (within["method"], within["trace_id"]) == ("POST", TRACE)
    assert without["trace_id"] != TRACE


async def test_a_line_from_within_a_request_names_it(gateway: Gateway, http: Client, lines: Lines) -> None:
    stored = await gateway.store.put_object(b"one")
    (path,) = gateway.stored()
    path.unlink()
    address = f"/v1/objects/{stored.identity.blake3}"
    answer = await http("GET", address, headers={"X-Request-Id": "some-id"})
    assert answer.status == 500
    assert {line["request_id"] for line in (*lines.of("lifecycle"), *lines.of("api.problems"))} == {"some-id"}


async def test_what_goes_on_after_a_request_is_not_called_by_its_name(
    start_gateway: GatewayFactory, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(retrieval_interval=0.01)
    stored = await gateway.store.put_object(b"one")

    async def fail(*_: object, **__: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(gateway.store.registry, "record_retrievals", fail)
    wire = await connect(gateway)
    await wire.send(request("GET", f"/v1/objects/{stored.identity.blake3}", "X-Request-Id: some-id"))
    assert (await wire.answer())[0] == 200
    while not lines.of("audit.retrievals"):
        await wire.pause()
    assert all("request_id" not in line for line in lines.of("audit.retrievals"))
    monkeypatch.undo()
    await wire.close()
