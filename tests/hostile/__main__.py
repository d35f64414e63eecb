"""`python -m tests.hostile`: the same bytes to the gateway and to nginx, and where they differ.

Worse than nginx is: to answer 2xx where nginx refuses, to answer more often, to store what nginx does not, and to hang
or to send what is no HTTP where nginx does not. Exit status 1 if there is such a case that is not explained below.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from artifactstore.api.http import create_app
from artifactstore.api.limits import Limits
from artifactstore.api.server import GatewayRunner
from artifactstore.bootstrap import open_local
from tests.conftest import settings_for
from tests.hostile.exchange import exchange, statuses
from tests.hostile.framing import cases, renamed

_CONFIGURATION = """
daemon off; {user} worker_processes 1; pid {own}/pid; error_log {own}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 0; client_body_temp_path {own}/body; proxy_temp_path {own}/p;
    fastcgi_temp_path {own}/f; uwsgi_temp_path {own}/u; scgi_temp_path {own}/s; client_body_timeout 5s;
    client_header_timeout 5s; keepalive_timeout 5s;
    server {{ listen 127.0.0.1:{port}; root {files};
        location / {{ dav_methods PUT DELETE; create_full_put_path on; }} }}
}}
"""

#: Where the gateway takes what nginx does not, and why that is no harm.
EXPLAINED = {
    "length: white space around": "a tab around a value is no part of it (RFC 9110, 5.5); nginx knows spaces alone",
    "coding: tab": "a tab around a value is no part of it (RFC 9110, 5.5); nginx knows spaces alone",
    "length: none": "without a length or a coding there is no body (RFC 9112, 6.3); nginx fails at a PUT of none",
}

#: What came back where it was no sequence of answers and an end.
_NO_HTTP, _HANGS = "no HTTP", "hangs"


@contextmanager
def nginx(work: Path) -> Iterator[tuple[int, Path]]:
    """A running nginx that takes PUT: its port, and its directory of files."""
    files = work / "files"
    (files / "v1/files/default").mkdir(parents=True)
    (files / "v1/files/default/seed").write_bytes(b"seed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx.conf").write_text(_CONFIGURATION.format(user=user, own=work, port=port, files=files))
    process = subprocess.Popen(["nginx", "-p", work, "-c", work / "nginx.conf", "-e", work / "error.log"])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port, files
    finally:
        process.terminate()
        process.wait()


async def answers(port: int, data: bytes) -> str:
    """Statuses, or that there was none that is one."""
    try:
        return " ".join(map(str, statuses(await exchange(port, [data])))) or "close"
    except (AssertionError, ValueError):
        return _NO_HTTP
    except TimeoutError:
        return _HANGS


def is_worse(ours: str, theirs: str, canary: bool, their_canary: bool) -> bool:
    """Whether we took what they refused, or did not answer as a server must where they did."""
    if ours in (_HANGS, _NO_HTTP) and theirs not in (_HANGS, _NO_HTTP):
        return True
    taken, refused = ours.count("20"), theirs.count("20")
    return taken > refused or (canary and not their_canary)


async def main() -> int:
    """Compare; print the cases that differ."""
    if shutil.which("nginx") is None:
        print("NOT RUN: the comparison needs nginx (Debian: nginx-light)")
        return 0
    worse = 0
    with tempfile.TemporaryDirectory() as directory, nginx(Path(directory) / "nginx") as (port, files):
        async with open_local(settings_for(Path(directory) / "root")) as store:
            await store.put_file("default", "seed", b"seed")
            runner = GatewayRunner(create_app(store, limits=Limits()))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            print("| case | gateway | nginx | |\n| --- | --- | --- | --- |")
            for number, case in enumerate(cases()):
                name, data = renamed(case.data, number)
                ours, theirs = await answers(runner.addresses[0][1], data), await answers(port, data)
                canary = name in {item.name for item in (await store.artifacts(namespace="default", name=name)).items}
                their_canary = (files / "v1/files/default" / name).exists()
                bad = is_worse(ours, theirs, canary, their_canary)
                worse += bad and case.name not in EXPLAINED
                if ours != theirs or bad:
                    remark = EXPLAINED.get(case.name, "WORSE") if bad else ""
                    marks = ("*" if canary else "", "*" if their_canary else "")
                    print(f"| {case.name} | {ours}{marks[0]} | {theirs}{marks[1]} | {remark} |")
            await runner.cleanup()
    print(f"\n{len(cases())} cases; * the canary was stored; worse and not explained: {worse}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
