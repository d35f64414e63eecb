"""wrk, for small requests: it costs a tenth of the CPU that a client in Python does. Without it that client is used."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from artifactstore.domain.errors import RemoteError
from artifactstore.traffic import Peer
from benchmarks.turns import Sample

_SCRIPT = """\
local paths = {paths}
local at = 0
function request()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def command() -> str | None:
    """Where it is installed, if it is."""
    return shutil.which("wrk")


def get(wrk: str, peer: Peer, paths: Sequence[str], work: Path, *, connections: int, seconds: float) -> Sample:
    """GET the paths in turn for whole seconds. RemoteError unless every answer was whole and of 2xx or 3xx."""
    script = work / "wrk.lua"
    script.write_text(_SCRIPT.format(paths="{" + ",".join(map(json.dumps, paths)) + "}"))
    duration = f"{max(1, round(seconds))}s"
    url = f"http://{peer.host}:{peer.port}"
    ran = subprocess.run(
        [wrk, "-t1", f"-c{connections}", f"-d{duration}", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", ran.stdout, re.MULTILINE)
    if found is None or int(found[5]):
        raise RemoteError(f"wrk: {ran.stdout.strip()} {ran.stderr.strip()}")
    requests, microseconds, p50, p99 = (float(found[at]) for at in range(1, 5))
    return Sample(requests, microseconds / 1e6, extra={"p50_ms": p50 / 1000, "p99_ms": p99 / 1000})
