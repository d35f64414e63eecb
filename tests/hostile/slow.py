"""`python -m tests.hostile.slow`: a thousand slow connections by slowhttptest, and a normal upload that goes through.

The upload comes from another address, since the slow ones use up the uploads of theirs. Slow heads (-H), slow bodies
(-B) and slow reading (-X), one after the other. Exit status 1 when an upload does not go through, or when memory is
not bounded.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.serving import gateway, resident_bytes, shown

CONNECTIONS = 1000
SECONDS = 20
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


def main() -> int:
    """Run the three modes; print the figures."""
    if shutil.which("slowhttptest") is None:
        print("NOT RUN: slow clients need slowhttptest (Debian: slowhttptest)")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as directory, gateway(Path(directory)) as (url, process):
        host = url.removeprefix("http://")
        alone, location = upload(host, UPLOAD_BYTES)
        begun = resident_bytes(process)
        for mode, options in _MODES.items():
            target = url + (location if mode == "slow reading" else "/v1/objects")
            attack = ["slowhttptest", "-c", str(CONNECTIONS), "-r", "500", "-l", str(SECONDS), "-u", target, *options]
            with subprocess.Popen(attack, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as slow:
                time.sleep(SECONDS / 2)
                connections = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
                seconds, _ = upload(host, UPLOAD_BYTES)
                most = resident_bytes(process)
                slow.wait(SECONDS * 3)
            failed += most - begun > MOST_GROWTH_BYTES
            print(
                shown(
                    mode=mode,
                    descriptors=connections,
                    upload_seconds=round(seconds, 2),
                    upload_alone_seconds=round(alone, 2),
                    resident_mib=most >> 20,
                    resident_before_mib=begun >> 20,
                ),
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
