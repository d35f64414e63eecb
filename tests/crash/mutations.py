"""Mutation control: each sync and each ordering of the sources, taken out in turn, must turn the harness red.

A mutation is applied to a copy of the sources, and the cases that are about it are run there until the first finding.
Those of EQUIVALENT cannot be told from outside of the process by what is promised; each says why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.crash import shim

SOURCES = Path(__file__).parents[2] / "src"
_PACKAGE = "artifactstore"
#: Seconds for the cases of one mutation.
_PATIENCE = 150


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old`, which stands once in `file`, becomes `new`; `cases` are arguments of `python -m tests.crash`.

    `file`: of the package, or of the project where it begins with `native/`; then the publisher is compiled anew.
    """

    name: str
    file: str
    old: str
    new: str
    cases: str
    equivalent: str | None = None  # why nothing can turn red

    @property
    def native(self) -> bool:
        """Whether it changes what is compiled."""
        return self.file.startswith("native/")

    def apply(self, sources: Path) -> None:
        """Change a copy of the sources, beside which `native` is. ValueError: the text is not there just once."""
        path = sources.parent / self.file if self.native else sources / _PACKAGE / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has the text {text.count(self.old)} times")
        path.write_text(text.replace(self.old, self.new))


_LOCALFS = "storage/backends/localfs.py"
_PUBLISHER = "native/publisher/publisher.c"
_PUTS = "--only put_new --run promises=1"
_FAILED_PUTS = "--only put_new --calls sync --run failed=1"
_HEALS = "--only heal --run promises=1"
_BACKUPS = "--only backup --run promises=1"

MUTATIONS = (
    Mutation(
        "a new object's directory is not synced",
        _LOCALFS,
        "        try:\n            sync_directory(path.parent)\n        except OSError:\n            path.unlink",
        "        try:\n            pass\n        except OSError:\n            path.unlink",
        _PUTS,
    ),
    Mutation(
        "a mended object's directory is not synced",
        _LOCALFS,
        "            raise\n        sync_directory(path.parent)\n\n    def _open",
        "            raise\n\n    def _open",
        _HEALS,
    ),
    Mutation(
        "a deleted object's directory is not synced",
        _LOCALFS,
        "        sync_directory(path.parent)  # also when",
        "        pass  # also when",
        "--only delete --run promises=1",
    ),
    Mutation(
        "a small body is not synced",
        _PUBLISHER,
        "    if (error == 0 && fdatasync(j->outcome.file) != 0)\n        error = errno;\n",
        "",
        _PUTS,
    ),
    Mutation(
        "a small body whose sync failed is published",
        _PUBLISHER,
        "    if (error == 0 && fdatasync(j->outcome.file) != 0)\n        error = errno;\n",
        "    if (error == 0)\n        (void)fdatasync(j->outcome.file);\n",
        _FAILED_PUTS,
    ),
    Mutation(
        "a small object's directory is not synced",
        _PUBLISHER,
        "fsync(directory) != 0",
        "0",
        _PUTS,
    ),
    Mutation(
        "a small object's name that could not be made durable stays",
        _PUBLISHER,
        "        unlinkat(directory, j->name, 0);\n",
        "",
        _FAILED_PUTS,
        "the store replaces what no event vouches for; only a data plane without a registry would trust it "
        "(tests/conformance)",
    ),
    Mutation(
        "a staged body is not synced",
        "dataplane/staging.py",
        "        os.fdatasync(self._descriptor)\n",
        "",
        _PUTS,
    ),
    Mutation(
        "a staged body whose sync failed is synced again",
        "dataplane/staging.py",
        "        os.fdatasync(self._descriptor)\n",
        "        try:\n            os.fdatasync(self._descriptor)\n        except OSError:\n"
        "            os.fdatasync(self._descriptor)\n",
        "--only put_new --calls sync --run failed=1",
    ),
    Mutation(
        "a failed sync of a directory is no failure",
        "storage/durability.py",
        "        os.fsync(descriptor)\n",
        "        try:\n            os.fsync(descriptor)\n        except OSError:\n            pass\n",
        "--only put_new --calls sync --run failed=1",
    ),
    Mutation(
        "a copy that a verification finds sound is not synced",
        "dataplane/inproc.py",
        "            await self._backend.sync(address)\n",
        "            pass\n",
        "--only heal --calls sync --run failed=1",
    ),
    Mutation(
        "the directories of objects are not synced",
        "storage/root.py",
        "        sync_directory(parent)\n",
        "",
        "--only making --run promises=1",
    ),
    Mutation(
        "what a broken-off making left is not synced",
        "storage/root.py",
        "    sync_directory(root.objects)\n",
        "",
        "--only making --calls sync --run again=1",
    ),
    Mutation(
        "what a root holds is not synced before its format file",
        "storage/root.py",
        "    sync_directory(root.path)\n    sync_names(root.path)\n",
        "    sync_names(root.path)\n",
        "--only making --from 530 --run forgetting=1",
    ),
    Mutation(
        "the root's own name is not synced when its making goes on",
        "storage/root.py",
        "    sync_names(root.path)\n",
        "",
        "--only making --calls sync --run again=1",
    ),
    Mutation(
        "the format file is not synced",
        "storage/root.py",
        "        os.fsync(descriptor)\n",
        "",
        "--only making --run promises=1",
    ),
    Mutation(
        "the format file's name is not synced",
        "storage/root.py",
        "    fresh.rename(file)\n    sync_directory(file.parent)\n",
        "    fresh.rename(file)\n",
        "--only making --run promises=1",
        "a root without its format file is one whose making was broken off: it is finished, with what is in it",
    ),
    Mutation(
        "the format file comes before the directories",
        "storage/root.py",
        "def _make(root: Root) -> None:\n",
        "def _make(root: Root) -> None:\n"
        '    (root.path / "format").write_text(json.dumps({"format": FORMAT, "software": SOFTWARE}))\n',
        "--only making --run kills=20",
    ),
    Mutation(
        "commits are not synced",
        "registry/sqlite.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        _PUTS,
    ),
    Mutation(
        "commits are not synced, and the file system is shut down",
        "registry/sqlite.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        "--only put_new --run shutdowns=1",
    ),
    Mutation(
        "commits are not synced, under eight writers",
        "registry/sqlite.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        "--run cuts=60",
    ),
    Mutation(
        "the format file is written in place, and half of it",
        "storage/root.py",
        '    fresh = file.with_name(f"{file.name}.new")\n',
        "    fresh = file\n",
        "--only making --from 520 --run torn=1",
    ),
    Mutation(
        "an error of the system comes out on a full disk",
        "storage/durability.py",
        '    return kind(f"{what}: {error.strerror or error}")\n',
        "    raise error\n",
        "--run scarcity=2",
    ),
    Mutation(
        "a copy is verified by its size",
        "dataplane/inproc.py",
        "        digests = hasher.digests()\n",
        "        return VerifyResult(True, None, address, address, offset)\n        digests = hasher.digests()\n",
        "--run rot=4",
    ),
    Mutation(
        "the event comes before the bytes",
        "lifecycle.py",
        "            return _verdict(await self._looked_at(identity, actor))\n\n"
        "        try:\n            result = await self._dataplane.ingest_stream(stream, hints, gate=gate)\n"
        "            try:\n                return await record(result)\n",
        "            verdict = _verdict(await self._looked_at(identity, actor))\n"
        "            from artifactstore.dataplane.spi import IngestResult\n"
        "            from artifactstore.storage.spi import StorageReceipt\n\n"
        '            receipt = StorageReceipt("local", "", identity.size_bytes)\n'
        "            address = verdict.address or identity.digest(hints.primary_algorithm)\n"
        "            gate.early = await record(\n"
        "                IngestResult(address, identity.sha256, identity.size_bytes, receipt, identity.blake3, False)\n"
        "            )\n            return verdict\n\n"
        "        try:\n            result = await self._dataplane.ingest_stream(stream, hints, gate=gate)\n"
        "            try:\n                return gate.early\n",
        "--only put_new --run kills=1",
    ),
    Mutation(
        "the bytes go before the event of their deletion",
        "lifecycle.py",
        "            with self._forgetting(blake3):  # before its bytes go\n",
        "            await self._dataplane.delete_object(blake3)\n            with self._forgetting(blake3):\n",
        "--only delete --calls sync --run kills=1",
    ),
    Mutation(
        "the bytes are said to be gone before they are",
        "lifecycle.py",
        "            await self._dataplane.delete_object(record.address)\n"
        "            await self._registry.purge_object(blake3, actor=actor)\n",
        "            await self._registry.purge_object(blake3, actor=actor)\n"
        "            await self._dataplane.delete_object(record.address)\n",
        "--only delete --calls unlink --run kills=1",
    ),
    Mutation(
        "unfinished deletions are not finished at a start",
        "bootstrap.py",
        "if not read_only and (finished := await store.recover()):",
        "if not read_only and (finished := 0):",
        "--only delete --calls unlink --run kills=1",
    ),
    Mutation(
        "staging is not swept at a start",
        "dataplane/staging.py",
        "                path.unlink(missing_ok=True)\n        except OSError as error:\n",
        "                pass\n        except OSError as error:\n",
        "--only heal --calls rename --run kills=1",
    ),
    Mutation(
        "a copy is mended in place",
        _LOCALFS,
        "            link_staged(staged, temporary)\n            temporary.rename(path)\n",
        "            path.chmod(0o640)\n            path.write_bytes(os.pread(staged.fd, staged.size_bytes, 0))\n",
        "--only heal --run kills=100",
    ),
    Mutation(
        "a copy that is cut short is trusted",
        "dataplane/inproc.py",
        "if kept is not None and kept.size_bytes == size_bytes:",
        "if kept is not None:",
        _HEALS,
        "the size is looked at before, too (lifecycle._looked_at), which marks the copy and has it replaced",
    ),
    Mutation(
        "a copy that is cut short is not marked",
        "lifecycle.py",
        "        if reason is None:\n            return record\n",
        "        return record\n",
        "--only heal --from 110 --calls sync --run failed=1",
    ),
    Mutation(
        "a failed COMMIT is taken for one that succeeded",
        "registry/log.py",
        "        if not there:\n            raise failed.cause\n",
        "",
        "--only put_new --calls sync --run errors=1",
    ),
    Mutation(
        "an answer comes before the commit",
        "registry/log.py",
        "        try:\n            transaction.commit()\n",
        "        for request, outcome in batch.outcomes.items():\n"
        "            request.future.get_loop().call_soon_threadsafe(_resolve, request.future, outcome)\n"
        '        __import__("time").sleep(0.02)\n'
        "        try:\n            transaction.commit()\n",
        "--only put_new --calls sync --run kills=1",
    ),
    Mutation(
        "views are folded in another transaction",
        "registry/log.py",
        "            self._views.store(connection, rows)\n",
        '            connection.execute("COMMIT")\n            connection.execute("BEGIN")\n'
        "            self._views.store(connection, rows)\n",
        "--only put_new --calls sync --run kills=1",
        "views that are not at the last event are folded anew by a start, and no answer is given in between",
    ),
    Mutation(
        "a rebuild drops the views and fills them later",
        "registry/rebuilding.py",
        "            connection.execute(DropTable(old))\n",
        "            connection.execute(DropTable(old))\n"
        '            driver(connection).execute("COMMIT")\n            driver(connection).execute("BEGIN")\n',
        "--only rebuild --calls sync --run kills=1",
    ),
    Mutation(
        "a put and a deletion do not exclude each other",
        "lifecycle.py",
        "            await hold.acquire()\n            held = hold\n",
        "",
        "--only delete_and_put --calls unlink,sync --from 60 --run kills=1",
    ),
    # --- backups ------------------------------------------------------------------------------------------------------
    Mutation(
        "a backup's own name is not synced when its making goes on",
        "backups/taking.py",
        "            sync_names(directory)\n",
        "",
        "--only backup --calls mkdir,sync --run again=1",
    ),
    Mutation(
        "what is copied into a backup is not synced",
        "backups/copying.py",
        "            os.fdatasync(descriptor)\n",
        "",
        _BACKUPS,
    ),
    Mutation(
        "the directories of a backup's objects are not synced",
        "backups/copying.py",
        "                    sync_directory(directory)\n",
        "                    pass\n",
        _BACKUPS,
    ),
    Mutation(
        "a backup's database is not synced",
        "registry/snapshots.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        _BACKUPS,
    ),
    Mutation(
        "a backup's record comes before the name of its database",
        "backups/taking.py",
        "    sync_directory(directory)\n    record.write(directory)\n",
        "    record.write(directory)\n",
        "--only backup --from 212 --run forgetting=1",
    ),
    Mutation(
        "a backup's record is not synced",
        "backups/form.py",
        "            os.fsync(file.fileno())\n",
        "",
        _BACKUPS,
    ),
    Mutation(
        "the name of a backup's record is not synced",
        "backups/form.py",
        "        fresh.rename(directory / RECORD_FILE)\n        sync_directory(directory)\n",
        "        fresh.rename(directory / RECORD_FILE)\n",
        _BACKUPS,
    ),
    Mutation(
        "what a backup that was killed left beside its database is not removed",
        "backups/form.py",
        "(-journal|-wal|-shm)?",
        "",
        "--only backup --calls write --run kills=1",
    ),
    # --- not to be seen from outside ----------------------------------------------------------------------------------
    Mutation(
        "a name whose sync failed is left",
        _LOCALFS,
        "            path.unlink(missing_ok=True)\n            raise\n        return True",
        "            raise\n        return True",
        "--only put_new --calls sync --run failed=1",
        "the store replaces what no event vouches for; only a data plane without a registry would trust it "
        "(tests/conformance)",
    ),
    Mutation(
        "a twin's directory is not synced when it is kept",
        _LOCALFS,
        "                sync_directory(path.parent)\n                return\n",
        "                return\n",
        "--only put_twins --run promises=1",
        "the store never asks to keep; only a data plane without a registry does (tests/conformance)",
    ),
    Mutation(
        "a directory's name is not synced",
        "storage/durability.py",
        "    path.mkdir(mode, exist_ok=True)\n    sync_directory(path.parent)\n",
        "    path.mkdir(mode, exist_ok=True)\n",
        "--only making,backup --run promises=1",
        "whoever makes a root or a backup syncs all names once more, since those that were there may not be durable; "
        "this one fails aloud where the directory above may be written and not read",
    ),
    Mutation(
        "the database's name is not synced",
        "registry/registry.py",
        "        sync_directory(file.parent)\n",
        "",
        "--only making --run promises=1",
        "SQLite syncs the directory when it syncs a new WAL; this one stands in for builds that do not",
    ),
    Mutation(
        "the reserve is not synced",
        "registry/reserve.py",
        "                os.fsync(descriptor)\n",
        "",
        "--only opening --run forgetting=1",
        "nothing is promised of it after a cut: a start looks whether it is whole, and makes it again",
    ),
    Mutation(
        "the reserve's name is not synced",
        "registry/reserve.py",
        "            sync_directory(self._file.parent)\n        except OSError:\n            # Half",
        "        except OSError:\n            # Half",
        "--only opening --run forgetting=1",
        "as the one before",
    ),
    Mutation(
        "the reserve's removal is not synced",
        "registry/reserve.py",
        "            self._file.unlink()\n            sync_directory(self._file.parent)\n",
        "            self._file.unlink()\n",
        "--only opening --run forgetting=1",
        "as the one before",
    ),
    Mutation(
        "a restored database is not synced",
        "backups/restoring.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        _BACKUPS,
        "it is opened next, to be migrated, and SQLite syncs it when it gets a WAL; this one stands for no migration",
    ),
    Mutation(
        "the name of a restored database is not synced",
        "backups/restoring.py",
        "    sync_directory(root.registry)\n",
        "",
        _BACKUPS,
        "the registry, which is opened next, syncs its directory",
    ),
    Mutation(
        "a restored root's marker goes without a sync",
        "storage/root.py",
        "        (root.path / RESTORING).unlink()\n        sync_directory(root.path)\n",
        "        (root.path / RESTORING).unlink()\n",
        "--only backup --from 1014 --run forgetting=3",
        "what has a format file is a root, whatever lies beside it",
    ),
)


def control(only: str = "") -> int:
    """Apply each mutation in turn; the exit status says whether each did what is expected of it."""
    unexpected = 0
    library = shim.build(Path("build").absolute())
    for mutation in MUTATIONS:
        if only not in mutation.name:
            continue
        begun = time.monotonic()
        verdict, cases = _verdict(mutation, library)
        expected = verdict == ("red" if mutation.equivalent is None else "green")
        unexpected += not expected
        took = f"{cases} cases, {time.monotonic() - begun:.0f} s"
        print(f"{verdict:10}{mutation.name} ({took}){'' if expected else '   <-- NOT EXPECTED'}", flush=True)
    return bool(unexpected)


def _verdict(mutation: Mutation, library: Path) -> tuple[str, int]:
    """`red`; `green`, after all its cases; or `undecided`, when its time ran out; `broken`, when the harness failed.

    And how many cases that took.
    """
    with tempfile.TemporaryDirectory(prefix="crash-mutation-") as name:
        sources, counts = Path(name) / "src", Path(name) / "counts"
        shutil.copytree(SOURCES, sources)  # with what is compiled already: times are kept
        shutil.copytree(SOURCES.parent / "native", sources.parent / "native")
        mutation.apply(sources)
        if mutation.native:
            _compile(sources)
        environment = {**os.environ, **shim.loading(library), "PYTHONPATH": str(sources)}
        options = ("--first", "--counts", str(counts), *mutation.cases.split())
        with subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.crash", *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            out, ran_out = _output(running)
        report = json.loads(counts.read_text()) if counts.exists() else None
        if report is None or not (ran_out or running.returncode == bool(report["findings"])):
            print(out)
            return "broken", 0
    cases = sum(report["cases"].values())
    if report["findings"]:
        return "red", cases
    return ("undecided" if ran_out or cases == 0 else "green"), cases


def _compile(sources: Path) -> None:
    """Put a new publisher in the place of the one that was copied."""
    build = sources / _PACKAGE / "storage" / "build.py"
    (sources / "native").symlink_to(sources.parent / "native")  # cffi looks for the C from where it puts the module
    code = f"import runpy; runpy.run_path({str(build)!r})['publisher'].compile(tmpdir={str(sources)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _output(running: subprocess.Popen[str]) -> tuple[str, bool]:
    """All it says, and whether it was ended because its time ran out."""
    try:
        return running.communicate(timeout=_PATIENCE)[0], False
    except subprocess.TimeoutExpired:
        running.terminate()  # it has file systems to unmount
        return running.communicate()[0], True
    except BaseException:
        running.terminate()
        raise
