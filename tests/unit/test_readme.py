"""The README's examples, run as they stand: the shell ones against a real gateway process."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
MARK = r"<!-- executed by tests/unit/test_readme\.py -->\n"
BLOCKS = re.findall(MARK + r"```(sh|python)\n(.*?)```", README, re.DOTALL)


def test_every_marked_block_is_found() -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "sh", "python"]
    assert len(re.findall(MARK, README)) == len(BLOCKS)


def test_the_commands_are_targets() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for command in ("dev", "test"):
        assert f"\nmake {command} " in README
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


@pytest.fixture
def gateway_port(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "artifactstore", "serve", "--root", str(tmp_path / "served"), "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_examples_do_what_they_say(tmp_path: Path, gateway_port: int) -> None:
    work = tmp_path / "work"
    (work / ".venv" / "bin").mkdir(parents=True)
    (work / ".venv" / "bin" / "artifactstore").symlink_to(Path(sys.executable).parent / "artifactstore")
    outputs = []
    for language, text in BLOCKS:
        code = text.replace("127.0.0.1:8000", f"127.0.0.1:{gateway_port}")
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
        ran = subprocess.run(
            command,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "HOME": str(work)},
        )
        assert ran.returncode == 0, ran.stderr
        outputs.append(ran.stdout)
    first, second, third = outputs
    assert "hello, artifact\n" in first
    assert "artifact" in first
    assert '"object.stored"' in first
    assert (work / "copy.txt").read_text() == "hello, artifact\n"
    assert "default" in second
    assert "greetings/hello.txt" in second
    assert third.startswith("1 blake3:")
    assert third.endswith("True\n")
    assert (work / "today.txt").read_text() == "all is well\n"
