"""deploy/nginx.conf in front of a gateway that asks for tokens, over TLS; its names, paths and ports are the test's."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.process import GatewayProcess

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
LARGE = os.urandom(24 * 2**20)
_MAIN = """\
daemon off;
master_process off;
pid {own}/pid;
error_log {own}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {own}/bodies;
    proxy_temp_path {own}/answers;
    fastcgi_temp_path {own}/f;
    uwsgi_temp_path {own}/u;
    scgi_temp_path {own}/s;
{server}
}}
"""


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def configured(own: Path, gateway: str, port: int) -> str:
    """The file as it is delivered, with its three addresses and its two paths changed."""
    text = CONFIGURATION.read_text()
    for old, new in (
        ("server 127.0.0.1:8000;", f"server {gateway.removeprefix('http://')};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/artifacts.pem", str(own / "certificate.pem")),
        ("/etc/ssl/artifacts.key", str(own / "key.pem")),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return _MAIN.format(own=own, server=text)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    token = run(sys.executable, "-m", "artifactstore", "token", "create", "admin", "--scope", "admin", "--scope",
                "read", "--scope", "write", "--root", str(tmp_path / "root"))  # fmt: skip
    (tmp_path / "token").write_text(token.split()[-1])
    process = GatewayProcess(tmp_path / "root", ARTIFACTSTORE_TOKENS="required")
    yield process
    process.stop()


@pytest.fixture
async def proxy(
    gateway: GatewayProcess, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[tuple[aiohttp.ClientSession, Path]]:
    """A client of the proxy that shows a token, and where the proxy would collect bodies."""
    own = tmp_path / "nginx"
    own.mkdir()
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", str(own / "key.pem"), "-out", str(own / "certificate.pem"))  # fmt: skip
    (own / "nginx.conf").write_text(configured(own, gateway.url, unused_tcp_port))
    process = subprocess.Popen(["nginx", "-p", str(own), "-c", str(own / "nginx.conf"), "-e", str(own / "error.log")])
    tls = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(own / "certificate.pem")))
    headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text()}"}
    base = f"https://127.0.0.1:{unused_tcp_port}"
    async with aiohttp.ClientSession(base, connector=tls, headers=headers) as session:
        while True:
            assert process.poll() is None, (own / "error.log").read_text()
            try:
                async with session.get("/health/ready") as answer:
                    assert answer.status == 200
                    break
            except aiohttp.ClientConnectorError:
                time.sleep(0.05)
        yield session, own / "bodies"
    process.terminate()
    assert process.wait(20) == 0


def collected(bodies: Path) -> list[Path]:
    return [path for path in bodies.rglob("*") if path.is_file()]


async def test_uploads_and_downloads_pass_as_they_are(proxy: tuple[aiohttp.ClientSession, Path]) -> None:
    session, bodies = proxy
    digest = hashlib.sha256(LARGE).hexdigest()

    async def slowly() -> AsyncIterator[bytes]:
        half = len(LARGE) // 2
        yield LARGE[:half]
        while True:  # until the gateway has it, of which the proxy keeps nothing
            async with session.get("/metrics") as answer:
                staged = re.search(r"^artifactstore_staging_bytes (\S+)", await answer.text(), re.MULTILINE)
            if staged is not None and float(staged[1]) > half // 2:
                break
        assert collected(bodies) == []
        yield LARGE[half:]

    async with session.put("/v1/files/reports/a%2Fb.bin", data=slowly()) as answer:
        assert answer.status == 201, await answer.text()
        assert (await answer.json())["sha256"] == f"sha256:{digest}"
    async with session.get("/v1/files/reports/a%2Fb.bin") as answer:
        assert await answer.read() == LARGE
    async with session.get(f"/v1/objects/sha256:{digest}", headers={"Range": "bytes=5000000-5999999"}) as answer:
        assert answer.status == 206
        assert await answer.read() == LARGE[5_000_000:6_000_000]
    async with session.put(f"/v1/objects/sha256:{'0' * 64}", data=b"other bytes") as answer:
        assert answer.status == 422
        assert answer.content_type == "application/problem+json"


async def test_who_shows_no_token_is_refused_by_the_gateway(proxy: tuple[aiohttp.ClientSession, Path]) -> None:
    session, _ = proxy
    async with session.get("/v1/events", headers={"Authorization": ""}) as answer:
        assert answer.status == 401
        assert answer.content_type == "application/problem+json"
    async with session.get("/v1/events") as answer:
        assert answer.status == 200
