"""The harness's own parts that need no root: its memory of promises, its forgetful disk, its mutations, its library."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash import disk, journal, shim, volume
from tests.crash.campaign import Report
from tests.crash.disk import Disk, Variant
from tests.crash.journal import ABSENT, Journal
from tests.crash.mutations.control import MUTATIONS, SOURCES
from tests.crash.mutations.mutation import Mutation

#: The calls of strace's names that the library counts.
COUNTED = "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,link,linkat,rename,renameat,renameat2,unlink,unlinkat"
REST = "mkdir,mkdirat,rmdir,ftruncate,truncate,fallocate"
#: Those that write and that it does not know: none may be made.
UNKNOWN = "pwritev2,copy_file_range,sync_file_range,syncfs,io_uring_enter,creat,symlink,symlinkat,mknod,mknodat"

PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.crash.driver import settings_of, perform, Scenario
from tests.crash.journal import Journal
from tests.crash.operations import OPERATIONS
from tests.crash.shim import Shim
from artifactstore.bootstrap import open_local

async def main(root, outside):
    journal = Journal(outside / "journal")
    shim = Shim()
    shim.watch(root.parent, exempt=journal.fd)
    async with open_local(settings_of(root)) as store:
        await perform(Scenario("all", tuple(OPERATIONS)), store, journal, root, "seed")
    count = shim.count
    shim.disarm()
    print("counted", count)

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return shim.build(tmp_path / "library")


# --- promises -----------------------------------------------------------------------------------------------------


def test_a_claim_holds_from_its_acknowledgement_and_may_hold_before(tmp_path: Path) -> None:
    calls = [0]
    written = Journal(tmp_path / "journal", lambda: calls[0])
    number = written.intend({"object/a": "stored"})
    calls[0] = 5
    written.done(number)
    calls[0] = 7
    failed = written.intend({"object/a": ABSENT})
    written.failed(failed, OSError("broken"))
    assert journal.read(tmp_path / "journal", until=4).keys == {"object/a": [ABSENT, "stored"]}
    assert journal.read(tmp_path / "journal", until=5).keys == {"object/a": ["stored"]}
    assert journal.read(tmp_path / "journal").keys == {"object/a": ["stored", ABSENT]}


def test_of_claims_that_run_side_by_side_either_may_be_the_last(tmp_path: Path) -> None:
    written = Journal(tmp_path / "journal")
    put, delete = written.intend({"object/a": "stored"}), written.intend({"object/a": ABSENT})
    written.done(delete)
    written.done(put)
    allowed = journal.read(tmp_path / "journal").keys["object/a"]
    assert "stored" in allowed
    assert ABSENT in allowed


def test_only_what_may_have_come_after_the_last_answer_is_unanswered(tmp_path: Path) -> None:
    written = Journal(tmp_path / "journal")
    written.done(written.intend({"object/a": "stored"}))
    written.intend({"object/a": ABSENT})
    known = journal.read(tmp_path / "journal")
    assert known.keys == {"object/a": ["stored", ABSENT]}
    assert known.unanswered == {"object/a": [ABSENT]}, "bytes may not be left of what is being deleted"
    written.intend({"object/a": "stored"})
    assert journal.read(tmp_path / "journal").unanswered == {"object/a": [ABSENT, "stored"]}


# --- a campaign in parts ------------------------------------------------------------------------------------------


def test_a_campaign_goes_on_with_the_case_that_it_did_not_end(tmp_path: Path) -> None:
    kept = tmp_path / "counts"
    first = Report.read(kept, "these")
    points = first.unfinished("kill: heal", "abcd")
    assert [next(points), next(points)] == ["a", "b"]
    first.cases["kill: heal"] = 1
    first.write(kept, "these")
    second = Report.read(kept, "these")
    assert list(second.unfinished("kill: heal", "abcd")) == ["b", "c", "d"]
    assert list(second.unfinished("kill: heal", "abcd")) == []
    assert list(second.unfinished("kill: seal", "ab")) == ["a", "b"], "a family of which nothing is known begins anew"
    assert second.cases["kill: heal"] == 1


def test_a_campaign_does_not_go_on_with_the_counts_of_another(tmp_path: Path) -> None:
    Report().write(tmp_path / "counts", "these")
    with pytest.raises(ValueError, match="other sources"):
        Report.read(tmp_path / "counts", "those")


def test_a_file_of_other_counts_is_refused_in_one_line(tmp_path: Path) -> None:
    Report().write(tmp_path / "counts", "these")
    command = [sys.executable, "-m", "tests.crash", "--run", "promises=1", "--counts", str(tmp_path / "counts")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "error: " in ended.stderr
    assert "is of another campaign" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


# --- the forgetful disk -------------------------------------------------------------------------------------------

WRITES = """
import os, sys
from pathlib import Path
from tests.crash.shim import Shim
top, record = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
Shim().watch(top, record=record)
for name, synced, named in (("whole", True, True), ("no-bytes", False, True), ("no-name", True, False)):
    directory = top / name
    directory.mkdir()
    top_fd = os.open(top, os.O_RDONLY)
    os.fsync(top_fd)
    fd = os.open(directory / "new", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"bytes")
    if synced:
        os.fdatasync(fd)
    os.rename(directory / "new", directory / "file")
    if named:
        os.fsync(os.open(directory, os.O_RDONLY))
"""


def run(library: Path, program: str, *arguments: Path, prefix: tuple[str, ...] = ()) -> str:
    command = [*prefix, sys.executable, "-c", program, *map(str, arguments)]
    loading = {"LD_PRELOAD": str(library)} if not prefix else {}
    done = subprocess.run(command, env={**os.environ, **loading}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_a_disk_keeps_what_was_synced_and_no_more(tmp_path: Path, library: Path) -> None:
    top = tmp_path / "volume"
    top.mkdir()
    before = Disk(top)
    run(library, WRITES, top, tmp_path / "record")
    calls = disk.read_calls(tmp_path / "record")
    for _ in disk.states(before, calls):
        pass
    left = {}
    for variant in Variant:
        place = tmp_path / variant
        place.mkdir()
        disk.lay_out(before.left(variant, random.Random(1)), place)
        left[variant] = found(place)
    assert left[Variant.LEAST] == {"whole/file": b"bytes", "no-bytes/file": b""}
    assert left[Variant.BYTES] == {"whole/file": b"bytes", "no-bytes/file": b"bytes"}
    assert left[Variant.NAMES] == {"whole/file": b"bytes", "no-bytes/file": b"", "no-name/file": b"bytes"}
    assert left[Variant.SOME]["whole/file"] == b"bytes"


# --- the preloaded library ----------------------------------------------------------------------------------------


def can_trace() -> bool:
    return shutil.which("strace") is not None and not subprocess.run(["strace", "-o", "/dev/null", "true"]).returncode


@pytest.mark.skipif(not can_trace(), reason="NOT RUN: strace is not installed, or may not trace here")
def test_the_library_misses_no_call_that_strace_sees(tmp_path: Path, library: Path) -> None:
    volume = Path("/dev/shm") / f"crash-{os.getpid()}"  # a file system of its own: descriptors are told by that
    volume.mkdir()
    try:
        trace = tmp_path / "trace"
        prefix = ("strace", "-f", "-y", "-o", str(trace), "-E", f"LD_PRELOAD={library}")
        watched = f"trace={COUNTED},{REST},{UNKNOWN}"
        out = run(library, PROGRAM, volume / "root", tmp_path, prefix=(*prefix, "-e", watched))
    finally:
        shutil.rmtree(volume)
    places = (str(volume), f"<{volume.parent}>")  # whose name is synced, too: it is on the same file system
    lines = trace.read_text().splitlines()
    seen = [line.split(maxsplit=1)[1] for line in lines if any(place in line for place in places)]
    seen = [line for line in seen if not line.startswith(("+++", "<..."))]
    unknown = [line for line in seen if line.startswith(tuple(UNKNOWN.split(",")))]
    assert unknown == []
    changing = [line for line in seen if not line.startswith("openat") or re.search(r"O_(CREAT|TRUNC|TMPFILE)", line)]
    assert len(changing) > 500
    assert out.split() == ["counted", str(len(changing))]


def can_mount(place: Path) -> bool:
    try:
        volume.make_image(place / "probe")
        with volume.mounted(place / "probe", place / "probed"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


CUT = """
import sys
from pathlib import Path
from tests.crash.shim import Shim
shim = Shim()
shim.watch(Path(sys.argv[1]))
(Path(sys.argv[1]) / "unsynced").write_bytes(b"bytes")
shim.shutdown(2)
"""


def cut(library: Path, place: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CUT, str(place)]
    return subprocess.run(command, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, text=True)


def test_a_shutdown_without_its_journal_loses_what_was_not_synced(tmp_path: Path, library: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("NOT RUN: file systems cannot be mounted here")
    image, place = tmp_path / "image", tmp_path / "volume"
    volume.make_image(image)
    with volume.mounted(image, place):
        ended = cut(library, place)
        if ended.returncode == 99:
            pytest.skip("NOT RUN: file systems cannot be shut down here")
        assert ended.returncode == -9
    with volume.mounted(image, place):
        assert not (place / "unsynced").exists()


def test_a_refused_shutdown_does_not_pass_for_a_power_cut(library: Path) -> None:
    place = Path("/dev/shm") / f"refusing-{os.getpid()}"  # a file system that knows of no such call
    place.mkdir()
    try:
        ended = cut(library, place)
    finally:
        shutil.rmtree(place)
    assert ended.returncode == 99
    assert "refused" in ended.stderr


# --- mutations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_mutation_changes_the_sources_that_are_there(mutation: Mutation, tmp_path: Path) -> None:
    place = Path(mutation.file) if mutation.native else Path("src", "artifactstore", mutation.file)
    target = tmp_path / place
    target.parent.mkdir(parents=True)
    shutil.copy(SOURCES.parent / place, target)
    mutation.apply(tmp_path / "src")
    if mutation.native:
        command = ["cc", "-fsyntax-only", f"-I{SOURCES.parent / place.parent}", str(target)]
        subprocess.run(command, check=True)
    else:
        compile(target.read_text(), mutation.file, "exec")
