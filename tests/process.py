"""A gateway in a process of its own, which can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path


class GatewayProcess:
    """`artifactstore serve` on a free port of the loopback interface."""

    def __init__(self, root: Path, *, fault: str | None = None, **environment: str) -> None:
        """`fault`: Python that is run first, in the process."""
        self.root = root
        self._log = root.with_suffix(".log").open("a+", encoding="utf-8")
        self._log.seek(0, os.SEEK_END)
        begin = self._log.tell()
        self.process = subprocess.Popen(
            [sys.executable, *_started(fault), "serve", "--root", str(root), "--port", "0"],
            stderr=self._log,
            env={**os.environ, **self._settings(), **environment},
        )
        self.url = self._announced(begin)

    @staticmethod
    def _settings() -> dict[str, str]:
        # the address is read from the log
        return {"ARTIFACTSTORE_RETRIEVAL_INTERVAL": "0.05", "ARTIFACTSTORE_LOG_LEVEL": "info"}

    def _announced(self, begin: int) -> str:
        while self.process.poll() is None:
            self._log.seek(begin)
            found = re.search(r"http://127\.0\.0\.1:\d+", self._log.read())
            if found:
                return found[0]
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        self._log.seek(begin)
        raise AssertionError(f"the gateway did not start: {self._log.read()}")

    def kill(self) -> None:
        """What a power switch does to a process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def stop(self) -> None:
        self.process.terminate()
        assert self.ended() == 0

    def ended(self) -> int:
        """Its exit status, when it has one."""
        try:
            return self.process.wait(60)
        finally:
            self._log.close()


def _started(fault: str | None) -> list[str]:
    if fault is None:
        return ["-m", "artifactstore"]
    return ["-c", f"{fault}\nimport sys\nfrom artifactstore.cli import main\nsys.argv[0] = 'artifactstore'\nmain()"]
