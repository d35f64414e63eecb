"""A gateway of several processes, as `serve --workers` runs it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.process import GatewayProcess

WORKERS = 2  # beside the process that writes


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    running = GatewayProcess(tmp_path_factory.mktemp("workers") / "root", ARTIFACTSTORE_WORKERS=str(WORKERS + 1))
    yield running
    running.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway that does not survive the test."""
    running = GatewayProcess(tmp_path / "root", ARTIFACTSTORE_WORKERS=str(WORKERS + 1))
    yield running
    if running.process.poll() is None:
        running.stop()


def call(process: GatewayProcess, method: str, path: str, data: bytes | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own, which any of the processes may accept."""
    request = urllib.request.Request(process.url + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def workers_of(process: GatewayProcess) -> list[int]:
    """The processes of the workers, by the kernel's account."""
    children = Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children").read_text()
    return [
        int(pid) for pid in children.split() if b"artifactstore.api.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def served_by(process: GatewayProcess) -> int:
    """How many requests for objects all processes have counted."""
    _, text = call(process, "GET", "/metrics")
    found = re.findall(rb'http_requests_total{method="GET",route="/v1/objects/{digest}",status="2xx"} (\S+)', text)
    return int(float(found[0])) if found else 0


def test_every_process_answers_and_all_are_counted(process: GatewayProcess) -> None:
    assert len(workers_of(process)) == WORKERS
    _, answer = call(process, "POST", "/v1/objects", b"some bytes")
    address = f"/v1/objects/{json.loads(answer)['blake3']}"
    counted = served_by(process)
    opened = [open_connection(process) for _ in range(60)]
    for connection in opened:
        connection.sendall(f"GET {address} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    for connection in opened:
        assert received(connection).endswith(b"some bytes")
    holders = {pid: sockets(pid) for pid in (process.process.pid, *workers_of(process))}
    for connection in opened:
        connection.close()
    assert all(holders.values()), holders  # one of 3 processes has none of 60 connections once in 10**10 runs
    assert served_by(process) == counted + 60


def open_connection(process: GatewayProcess) -> socket.socket:
    host, port = process.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def received(connection: socket.socket) -> bytes:
    """One answer, whose length it says."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", data)
    assert length is not None
    end = data.find(b"\r\n\r\n") + 4 + int(length[1])
    while len(data) < end:
        more = connection.recv(65536)
        assert more
        data += more
    return data


def sockets(pid: int) -> int:
    """Connections of TCP that a process has open."""
    tcp = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "01"}
    names = [str(item.readlink()) for item in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(name.removeprefix("socket:[").rstrip("]") in tcp for name in names if name.startswith("socket:["))


def test_one_connection_may_ask_for_anything(process: GatewayProcess) -> None:
    """It begins at some process, and goes to the one that writes when it asks for more than downloads."""
    for number in range(20):
        with open_connection(process) as connection:
            body = f"body {number}".encode()
            name = f"/v1/files/ns/{number}"
            ask = f"GET {name} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            connection.sendall(ask)
            assert received(connection).startswith(b"HTTP/1.1 404")
            put = f"PUT {name} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(put[:10])
            time.sleep(0.01)
            connection.sendall(put[10:] + body)
            assert received(connection).startswith(b"HTTP/1.1 201")
            connection.sendall(ask)
            assert received(connection).endswith(body)
        with open_connection(process) as connection:  # many at once, of which the first is a download
            connection.sendall(ask + ask + f"DELETE {name} HTTP/1.1\r\nHost: a\r\n\r\n".encode() + ask)
            answers = b""
            while answers.count(b"HTTP/1.1 ") < 4 or not answers.endswith(b"}"):
                more = connection.recv(65536)
                assert more
                answers += more
            assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"200", b"204", b"404"]


def test_what_was_answered_is_true_for_every_process(process: GatewayProcess) -> None:
    """New versions and deletions, beside readers who keep every process's memory warm."""
    ended = Event()

    def read() -> None:
        while not ended.is_set():
            call(process, "GET", "/v1/files/ns/name")

    with ThreadPoolExecutor(3) as readers:
        reading = [readers.submit(read) for _ in range(3)]
        try:
            for number in range(40):
                body = f"version {number}".encode()
                assert call(process, "PUT", "/v1/files/ns/name", body)[0] == 201
                assert [call(process, "GET", "/v1/files/ns/name") for _ in range(4)] == [(200, body)] * 4
                if number % 4 == 3:
                    assert call(process, "DELETE", "/v1/files/ns/name")[0] == 204
                    assert [call(process, "GET", "/v1/files/ns/name")[0] for _ in range(4)] == [404] * 4
                    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
                    assert call(process, "GET", f"/v1/objects/{digest}") == (200, body)
                    assert call(process, "DELETE", f"/v1/objects/{digest}")[0] == 204
                    assert [call(process, "GET", f"/v1/objects/{digest}")[0] for _ in range(4)] == [404] * 4
        finally:
            ended.set()
    for item in reading:
        item.result()


def _is_large(path: Path) -> bool:
    return path.stat().st_size == 100_000


def test_damage_is_found_by_any_process_and_recorded(process: GatewayProcess) -> None:
    _, answer = call(process, "POST", "/v1/objects", b"x" * 100_000)  # too large to be kept in memory
    blake3 = json.loads(answer)["blake3"]
    assert [call(process, "GET", f"/v1/objects/{blake3}")[0] for _ in range(8)] == [200] * 8
    (copy,) = (path for path in (process.root / "objects").rglob("*") if path.is_file() and _is_large(path))
    os.truncate(copy, 99_999)
    answers = [call(process, "GET", f"/v1/objects/{blake3}") for _ in range(8)]
    assert {(status, json.loads(answer)["type"].rpartition(":")[2]) for status, answer in answers} == {
        (500, "object-damaged")
    }
    events = json.loads(call(process, "GET", "/v1/events?limit=1000")[1])["items"]
    assert [event["type"] for event in events].count("object.damaged") == 1
    assert call(process, "POST", "/v1/objects", b"x" * 100_000)[0] == 200
    assert [call(process, "GET", f"/v1/objects/{blake3}")[0] for _ in range(8)] == [200] * 8


def test_downloads_from_every_process_are_recorded(process: GatewayProcess) -> None:
    _, answer = call(process, "PUT", "/v1/files/ns/counted", b"abc")
    identifier = json.loads(answer)["id"]
    for _ in range(30):
        assert call(process, "GET", "/v1/files/ns/counted") == (200, b"abc")
    _, answer = call(process, "GET", f"/v1/artifacts/{identifier}/retrievals")  # they are told, and not waited for
    items = json.loads(answer)["items"]
    assert sum(item["count"] for item in items) == 30
    assert sum(item["size_bytes"] for item in items) == 90


def test_a_worker_that_dies_is_replaced(process: GatewayProcess) -> None:
    before = set(workers_of(process))
    call(process, "PUT", "/v1/files/ns/kept", b"abc")
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(workers_of(process)) == WORKERS and set(workers_of(process)) != before)
    for _ in range(20):
        assert call(process, "GET", "/v1/files/ns/kept") == (200, b"abc")


def test_no_worker_outlives_the_writer(own: GatewayProcess, tmp_path: Path) -> None:
    """It could not learn any more of what is deleted. Not even one that is stopped does."""
    call(own, "PUT", "/v1/files/ns/kept", b"abc")
    workers = workers_of(own)
    os.kill(workers[0], signal.SIGSTOP)
    own.kill()
    until(lambda: not any(map(is_alive, workers)))
    again = GatewayProcess(tmp_path / "root", ARTIFACTSTORE_WORKERS=str(WORKERS + 1))
    assert call(again, "GET", "/v1/files/ns/kept") == (200, b"abc")
    again.stop()


def test_a_path_with_dots_leads_to_the_same_place_from_every_process(process: GatewayProcess) -> None:
    for path in ("/v1/files/../../metrics", "/v1/files/../artifacts", "/v1/objects/..", "/v1/files/%2e%2e/artifacts"):
        answers = set()
        for _ in range(12):
            with open_connection(process) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: same\r\n\r\n".encode())
                answers.add(received(connection).partition(b"\r\n")[0])
        assert len(answers) == 1, (path, answers)


def test_what_was_asked_before_the_client_ended_its_side_is_answered(process: GatewayProcess) -> None:
    large = os.urandom(2**20) * 16  # more than is sent before the client reads
    assert call(process, "PUT", "/v1/files/ns/large", large)[0] == 201
    assert call(process, "PUT", "/v1/files/ns/small", b"small")[0] == 201
    for _ in range(9):
        with open_connection(process) as connection:
            connection.sendall(b"GET /v1/files/ns/large HTTP/1.1\r\nHost: a\r\n\r\n")
            begun = connection.recv(1)
            connection.sendall(b"GET /v1/files/ns/small HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            answers = bytearray(begun)
            while more := connection.recv(2**20):
                answers += more
            assert answers.endswith(b"small")
            assert len(answers) > len(large)


def test_workers_listen_where_the_gateway_does(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this host has no IPv6: {error}")
    log = (tmp_path / "log").open("w+")
    command = [sys.executable, "-m", "artifactstore", "serve", "--root", str(tmp_path / "root"), "--workers", "2"]
    with subprocess.Popen([*command, "--host", "::1", "--port", "0"], stderr=log) as running:
        try:
            until(lambda: b"http://[::1]:" in Path(log.name).read_bytes())
        finally:
            running.terminate()
    log.close()
    assert running.returncode == 0


def test_two_gateways_do_not_share_a_port(process: GatewayProcess, tmp_path: Path) -> None:
    port = process.url.rpartition(":")[2]
    command = [sys.executable, "-m", "artifactstore", "serve", "--root", str(tmp_path / "other"), "--workers", "2"]
    ran = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in ran.stderr


def test_downloads_that_run_end_before_the_gateway_does(own: GatewayProcess) -> None:
    body = os.urandom(2**20) * 24
    assert call(own, "PUT", "/v1/files/ns/kept", body)[0] == 201
    workers = workers_of(own)
    opened = [open_connection(own) for _ in range(12)]
    begun = []
    for connection in opened:
        connection.sendall(b"GET /v1/files/ns/kept HTTP/1.1\r\nHost: a\r\n\r\n")
        begun.append(connection.recv(1))
    own.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    for connection, byte in zip(opened, begun, strict=True):
        with connection:
            assert (byte + received(connection)).endswith(body[-1000:])
    assert own.ended() == 0
    assert not any(map(is_alive, workers))
