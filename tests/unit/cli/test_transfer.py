"""`put` and `get` with pipes, terminals, and files that are in the way."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from tests.syscalls import waits_in_open
from tests.unit.cli.conftest import Cli

LARGE = bytes(range(256)) * 16384  # more than a pipe holds
ARTIFACTSTORE = [sys.executable, "-m", "artifactstore"]


def flip(root: Path) -> None:
    """Change a byte of the only object, and keep its size: only its digest can tell."""
    (copy,) = [path for path in (root / "objects").rglob("*") if path.is_file()]
    copy.chmod(0o640)
    with copy.open("r+b") as file:
        file.write(b"?")


def test_a_pipe_in_and_a_pipe_that_closes_early(root: Path) -> None:
    put = subprocess.Popen(
        [*ARTIFACTSTORE, "put", "-", "--name", "default/a", "--root", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = put.communicate(LARGE, timeout=60)
    assert (put.returncode, err) == (0, b""), "no progress in a pipe"
    assert f"  {len(LARGE)}  default/a version 1".encode() in out
    script = (
        f"'{sys.executable}' -m artifactstore get default/a -o - --root '{root}' | head -c 1; echo ${{PIPESTATUS[0]}}"
    )
    ran = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == (LARGE[:1] + b"1\n", b"")


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command whose standard error is a terminal; its status and what the terminal was sent."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))  # a bar needs room
    process = subprocess.Popen([*ARTIFACTSTORE, *arguments], stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    return process.wait(60), shown.decode()


def test_progress_is_shown_on_a_terminal(work: Path, root: Path) -> None:
    (work / "large").write_bytes(LARGE)
    status, shown = on_a_terminal("put", "large", "--name", "default/large", "--root", str(root))
    assert status == 0
    assert "large:   0%|" in shown
    status, shown = on_a_terminal("get", "default/large", "-o", "copy", "--root", str(root))
    assert (status, "copy:   0%|" in shown) == (0, True)
    status, shown = on_a_terminal("rebuild", "--root", str(root))
    assert (status, "events:" in shown) == (0, True)
    status, shown = on_a_terminal("get", "default/large", "-o", "quiet", "--json", "--root", str(root))
    assert (status, shown) == (0, "")


def test_a_mismatch_leaves_no_file_and_keeps_what_was_there(cli: Cli, work: Path, root: Path) -> None:
    cli("put", "-", "--name", "default/a", "--root", root, stdin=LARGE).succeeded()
    flip(root)
    assert "is not blake3:" in cli("get", "default/a", "--root", root).failed()
    assert list(work.iterdir()) == []
    (work / "a").write_bytes(b"precious")
    cli("get", "default/a", "--force", "--root", root).failed()
    assert [path.name for path in work.iterdir()] == ["a"]
    assert (work / "a").read_bytes() == b"precious"
    assert "is not blake3:" in cli("get", "default/a", "-o", "-", "--root", root).failed()


def test_a_file_that_is_there_needs_force(cli: Cli, work: Path, root: Path) -> None:
    cli("put", "-", "--name", "default/a", "--root", root, stdin=b"new").succeeded()
    (work / "a").write_bytes(b"old")
    assert "--force" in cli("get", "default/a", "--root", root).failed()
    assert (work / "a").read_bytes() == b"old"
    cli("get", "default/a", "--force", "--root", root).succeeded()
    assert (work / "a").read_bytes() == b"new"


def test_a_long_name_and_a_dash(cli: Cli, work: Path, root: Path) -> None:
    for name in ("\U0001f701" * 60, "-"):
        cli("put", "-", "--name", f"default/x/{name}", "--root", root, stdin=b"new").succeeded()
        cli("get", f"default/x/{name}", "--root", root).succeeded()
        assert (work / name).read_bytes() == b"new"


def test_a_pipe_is_written_into_and_not_replaced(cli: Cli, work: Path, root: Path) -> None:
    cli("put", "-", "--name", "default/a", "--root", root, stdin=b"new").succeeded()
    os.mkfifo(work / "pipe")
    reader = os.open(work / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    cli("get", "default/a", "-o", "pipe", "--force", "--root", root).succeeded()
    assert os.read(reader, 100) == b"new"
    os.close(reader)
    assert (work / "pipe").is_fifo()


@pytest.mark.parametrize("end", ["pipe", "terminal"])
def test_an_interrupt_ends_the_wait_for_a_silent_input(end: str, target: list[str], cli: Cli) -> None:
    ours, theirs = os.pipe()[::-1] if end == "pipe" else pty.openpty()
    os.write(ours, b"begun\n")
    while not unread(theirs):  # a terminal passes it on in its own time
        os.sched_yield()
    with subprocess.Popen(
        [*ARTIFACTSTORE, "put", "-", "--name", "default/a", *target],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while unread(theirs) and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert (process.returncode, out, err) == (130, b"", b"artifactstore: interrupted\n")
    assert cli("ls", *target).succeeded().out == ""


def test_an_interrupt_ends_the_wait_for_a_pipes_other_end(work: Path, target: list[str], cli: Cli) -> None:
    os.mkfifo(work / "pipe")
    with subprocess.Popen(
        [*ARTIFACTSTORE, "put", "pipe", "--name", "default/a", *target], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not waits_in_open(process.pid) and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"artifactstore: interrupted\n")
    assert cli("ls", *target).succeeded().out == ""


def test_a_named_pipe_is_stored(work: Path, target: list[str], cli: Cli) -> None:
    os.mkfifo(work / "pipe")
    writer = threading.Thread(target=(work / "pipe").write_bytes, args=(b"through a pipe",))
    writer.start()
    cli("put", "pipe", "--name", "default/a", *target).succeeded()
    writer.join()
    assert cli("get", "default/a", "-o", "-", *target).out == "through a pipe"


def unread(descriptor: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
