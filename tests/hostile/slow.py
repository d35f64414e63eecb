"""`python -m tests.hostile.slow`: a thousand slow connections by slowhttptest, and a normal upload that goes through.

The upload comes from another address, since the slow ones use up the uploads of theirs. Slow heads (-H), slow bodies
(-B) and slow reading (-X), one after the other. Exit status 1 when they do not come, when an upload does not go
through, when memory is not bounded, or when slow connections outlive the deadlines, which are set short.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.serving import cpu_seconds, descriptors, gateway, resident_bytes, shown, tcp_bytes

CONNECTIONS = 1000
ENOUGH = 950  # descriptors, for what is looked at five times a second
DEADLINE = 15  # seconds, of the gateway, for heads, for bodies, and for readers
SECONDS = 60
UPLOAD_BYTES = 32 * 2**20
MOST_GROWTH_BYTES = 512 * 2**20  # what a thousand heads of the largest size would be is 256 MiB

_MODES = {
    "slow heads": ["-H", "-i", "5"],
    "slow bodies": ["-B", "-i", "5", "-s", "1000000", "-t", "POST"],
    "slow reading": ["-X", "-n", "1", "-w", "16", "-y", "64", "-z", "8", "-k", "3"],
}


def upload(host: str, size_bytes: int) -> tuple[float, str]:
    """Seconds for a normal upload, and the address of what was stored."""
    connection = http.client.HTTPConnection(host, timeout=60, source_address=("127.0.0.2", 0))  # another client
    begun = time.monotonic()
    connection.request("POST", "/v1/objects", os.urandom(size_bytes))
    answer = connection.getresponse()
    location = answer.headers["Location"]
    assert answer.status == 201, answer.status
    return time.monotonic() - begun, location


@dataclass
class Seen:
    """Of one attack."""

    descriptors: int = 0
    resident_bytes: int = 0
    tcp_bytes: int = 0  # of the whole machine
    upload_seconds: float | None = None
    cut_after_seconds: float | None = None


def attacked(attack: list[str], process: subprocess.Popen[str], host: str) -> Seen:
    """Let the attack run until its connections are cut, or to its end; upload something while it has all of them."""
    seen, at_rest = Seen(), descriptors(process)
    uploading: Future[tuple[float, str]] | None = None
    with (
        ThreadPoolExecutor(1) as beside,
        subprocess.Popen(
            attack, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as slow,
    ):
        begun = time.monotonic()
        while slow.poll() is None and seen.cut_after_seconds is None:
            now, count = time.monotonic() - begun, descriptors(process)
            seen.descriptors = max(seen.descriptors, count)
            seen.resident_bytes = max(seen.resident_bytes, resident_bytes(process))
            seen.tcp_bytes = max(seen.tcp_bytes, tcp_bytes())
            if uploading is None and (count > CONNECTIONS or now > DEADLINE / 2):
                uploading = beside.submit(upload, host, UPLOAD_BYTES)
            if uploading is not None and uploading.done() and count < at_rest + CONNECTIONS // 20:
                seen.cut_after_seconds = now
            time.sleep(0.2)
        ended = time.monotonic() - begun
        if seen.cut_after_seconds is None and ended < SECONDS and slow.returncode == 0:
            seen.cut_after_seconds = ended  # it ends when no connection is left
        slow.kill()  # it looks at its own clock between its reads, and may be long in coming to it
    if uploading is not None:
        seen.upload_seconds, _ = uploading.result()
    return seen


def main() -> int:
    """Run the three modes; print the figures."""
    if shutil.which("slowhttptest") is None:
        print("NOT RUN: slow clients need slowhttptest (Debian: slowhttptest)")
        return 0
    failed = 0
    deadlines = dict.fromkeys(("head_timeout", "body_timeout", "send_timeout"), DEADLINE)
    with tempfile.TemporaryDirectory() as directory, gateway(Path(directory), **deadlines) as (url, process):
        host = url.removeprefix("http://")
        alone, location = upload(host, UPLOAD_BYTES)
        begun = resident_bytes(process)
        for mode, options in _MODES.items():
            target = url + (location if mode == "slow reading" else "/v1/objects")
            attack = ["slowhttptest", "-c", str(CONNECTIONS), "-r", "500", "-l", str(SECONDS), "-u", target, *options]
            used = cpu_seconds(process)
            seen = attacked(attack, process, host)
            came = seen.descriptors >= ENOUGH
            bounded = seen.resident_bytes - begun <= MOST_GROWTH_BYTES
            failed += not (came and bounded and seen.upload_seconds and seen.cut_after_seconds)
            print(
                shown(
                    mode=mode,
                    descriptors=seen.descriptors,
                    upload_seconds=seen.upload_seconds and round(seen.upload_seconds, 2),
                    upload_alone_seconds=round(alone, 2),
                    deadline_seconds=DEADLINE,
                    cut_after_seconds=seen.cut_after_seconds and round(seen.cut_after_seconds, 1),
                    tcp_mib=seen.tcp_bytes >> 20,
                    resident_mib=seen.resident_bytes >> 20,
                    resident_before_mib=begun >> 20,
                    cpu_seconds=round(cpu_seconds(process) - used, 2),
                ),
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
