"""What must be true of a root after whatever happened to it, given what was promised.

Acknowledged: readable, both digests right. Not acknowledged: absent or complete. The log has no gap and says what it
said. Rebuilt views are the live views. No reference dangles. Recovery run twice is recovery run once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import blake3

from artifactstore.backups import copying, restoring, taking
from artifactstore.backups.form import BackupRecord
from artifactstore.bootstrap import open_local
from artifactstore.domain.artifact import ObjectState
from artifactstore.domain.errors import ArtifactNotFoundError, ArtifactStoreError, LogCorruptError, ObjectDamagedError
from artifactstore.registry.snapshots import Snapshot
from artifactstore.storage.root import RESTORING, open_root
from artifactstore.store import Store
from tests.crash.driver import settings_of
from tests.crash.journal import ABSENT, Known, Value
from tests.crash.operations import DAMAGED, NAMESPACE, STORED, WHOLE, Content, backup_of

_REFERENCES = """
    SELECT artifacts.blake3 FROM artifacts JOIN names USING (namespace, name) WHERE version > tombstoned_through
"""
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


@dataclass(slots=True)
class Findings:
    """What is wrong, one line each."""

    lines: list[str] = field(default_factory=list)

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            self.lines.append(what)


def dump(root: Path) -> dict[str, Value]:
    """All rows of the database and all files of the store."""
    with closing(sqlite3.connect(f"file:{root}/registry/log.sqlite3?mode=rw", uri=True)) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        rows = {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in tables}
    files: dict[str, Value] = {}
    for kind in ("objects", "staging"):
        files |= {entry.path.removeprefix(f"{root}/"): _told(entry) for entry in _files(f"{root}/{kind}")}
    return {"rows": rows, "files": files}


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            yield entry


def _told(entry: os.DirEntry[str]) -> tuple[int, int]:
    found = entry.stat(follow_symlinks=False)
    return found.st_size, found.st_ino


async def examine(root: Path, known: Known) -> list[str]:
    """Recover twice, then hold the store against what is known."""
    findings = Findings([f"seen in the run: {line}" for line in known.findings])
    try:
        once = await recover(root)
        async with open_local(settings_of(root), actor="local:oracle") as store:
            twice = dump(root)
            findings.require(once["files"] == twice["files"], "a second recovery changed files")
            findings.require(once["rows"] == twice["rows"], "a second recovery changed rows")
            findings.require(
                not [name for name in twice["files"] if name.startswith("staging")], "staging is not empty"
            )
            await check(store, known, findings)
            findings.require(await store.registry.deleting() == [], "a deletion is unfinished")
            check_database(root, known, findings)
            for algorithm in ("blake3", "sha256"):  # what has a format file is whole
                shards = len(os.listdir(root / "objects" / algorithm))  # noqa: PTH208 - fast
                findings.require(shards == 256, f"objects/{algorithm} has {shards} directories")
    except ArtifactStoreError as error:
        findings.lines.append(f"the store does not open: {error!r}")
    return findings.lines


async def recover(root: Path) -> dict[str, Value]:
    """Open and close the store; what is there then."""
    async with open_local(settings_of(root), actor="local:oracle"):
        pass
    return dump(root)


async def check(store: Store, known: Known, findings: Findings) -> None:
    """An open store, against what is known and against itself."""
    try:
        difference = await store.registry.verify_views()
        findings.require(difference is None, f"rebuilt views differ: {difference}")
    except LogCorruptError as error:
        findings.lines.append(f"the log: {error}")
    # a backup that is looked at is made anew: last, since what was to be restored is of the one before
    for key, allowed in sorted(known.keys.items(), key=lambda item: item[0].startswith("backup/")):
        kind, _, rest = key.partition("/")
        if kind == "event":  # looked at with all the others
            continue
        try:
            found = await OBSERVERS[kind](store, rest)
        except ArtifactStoreError as error:
            found = repr(error)
        findings.require(found in allowed, f"{key} is {found!r}, not one of {allowed!r}")


def check_database(root: Path, known: Known, findings: Findings) -> None:
    """No reference dangles, by the rows alone: every present object has its bytes, every reference a present object."""
    with closing(sqlite3.connect(f"file:{root}/registry/log.sqlite3?mode=rw", uri=True)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        findings.require(integrity == "ok", f"the database: {integrity}")
        leaves = {seq: leaf.hex() for seq, leaf in connection.execute("SELECT seq, leaf FROM events ORDER BY seq")}
        findings.require(list(leaves) == list(range(1, len(leaves) + 1)), "the log has a gap")
        for key, allowed in known.keys.items():
            if key.startswith("event/"):
                findings.require(leaves.get(int(key[6:])) in allowed, f"the log lost or changed {key}")
        spoilt = _may_be(known.keys, DAMAGED)
        put = _may_be(known.unanswered, STORED)
        present = set()
        for key, algorithm, sha256, size, state in connection.execute(
            "SELECT blake3, primary_algorithm, sha256, size_bytes, state FROM objects"
        ):
            address = (key if algorithm == "blake3" else sha256).hex()
            path = root / "objects" / algorithm / address[:2] / address
            if not ObjectState(state).present:
                gone = key in put or not path.exists()  # but for bytes of an upload that has no event yet
                findings.require(gone, f"a purged object's bytes are there: {path.name}")
                continue
            present.add(key)
            if state == ObjectState.LIVE and key not in spoilt:
                sound = path.is_file() and path.stat().st_size == size
                findings.require(sound, f"a live object has no file of its size: {path.name}")
                findings.require(not sound or _digests(path) == (key, sha256), f"a live object is bad: {path.name}")
        for (key,) in connection.execute(_REFERENCES):
            findings.require(key in present, f"an artifact refers to {key.hex()}, which is not there")
        versions = connection.execute("SELECT count(*), max(version) FROM artifacts GROUP BY namespace, name")
        findings.require(all(count == last for count, last in versions), "the versions of a name have a gap")
        for (key,) in connection.execute("SELECT blake3 FROM package_members"):
            findings.require(key in present, f"a package refers to {key.hex()}, which is not there")


def _may_be(keys: dict[str, list[Value]], state: str) -> set[bytes]:
    """The objects, by BLAKE3, that may be in this state."""
    found = (key.removeprefix("object/") for key, allowed in keys.items() if key.startswith("object/"))
    return {Content.parse(spec).blake3.value for spec in found if state in keys[f"object/{spec}"]}


def _digests(path: Path) -> tuple[bytes, bytes]:
    data = path.read_bytes()
    return blake3.blake3(data).digest(), hashlib.sha256(data).digest()


# --- what a key is now ------------------------------------------------------------------------------------------------


async def _object(store: Store, spec: str) -> Value:
    content = Content.parse(spec)
    record = await store.registry.object(content.sha256)
    if record is None or not record.state.present:
        return ABSENT
    if record.identity.blake3 != content.blake3:
        return "recorded under another BLAKE3 digest"
    if record.state is ObjectState.DAMAGED:
        return DAMAGED
    try:
        async with await store.open_object(content.blake3) as opened:
            read = b"".join([chunk async for chunk in opened.chunks()])
    except ObjectDamagedError:
        return DAMAGED
    return STORED if read == content.data else DAMAGED


async def _file(store: Store, name: str) -> Value:
    try:
        return (await store.file(NAMESPACE, name)).identity.sha256.hex
    except ArtifactNotFoundError:
        return ABSENT


async def _artifact(store: Store, artifact_id: str) -> Value:
    found = await store.artifact(UUID(artifact_id))
    return [found.name, found.version, found.identity.sha256.hex]


async def _labels(store: Store, artifact_id: str) -> Value:
    return (await store.artifact(UUID(artifact_id))).metadata.labels or ABSENT


async def _package(store: Store, name: str) -> Value:
    page = await store.packages(namespace=NAMESPACE, name=name)
    if not page.items:
        return ABSENT
    if len(page.items) > 1 or not (await store.verify_object(page.items[0].manifest.blake3)).verified:
        return "sealed twice, or without a manifest"
    members = await store.members(page.items[0].id)
    return [[member.name, member.identity.sha256.hex] for member in members]


async def _token(store: Store, name: str) -> Value:
    after = 0
    while page := await store.registry.tokens(after=after):
        for _, token in page:
            if token.name == name:
                return "issued" if token.revoked_at is None else "revoked"
        after = page[-1][0]
    return ABSENT


async def _backup(_store: Store, root: str) -> Value:
    """Absent or whole; and then another one can be made in its place, which is."""
    return await asyncio.to_thread(_backup_anew, Path(root))


def _backup_anew(root: Path) -> Value:
    found = _backup_in(backup_of(root))
    taking.take(root, backup_of(root))
    after = _backup_in(backup_of(root))
    return found if after == WHOLE else f"{found}, and then {after}"


def _backup_in(directory: Path) -> Value:
    record = BackupRecord.read(directory)
    if record is None:
        return ABSENT
    if taking.digest_of(directory / record.database) != record.database_sha256:
        return "with another database"
    with Snapshot(directory / record.database) as snapshot:
        return copying.check(snapshot.objects(), directory / "objects") or WHOLE


async def _restored(_store: Store, root: str) -> Value:
    """Absent or whole. What was broken off can be gone on with."""
    return await asyncio.to_thread(_restored_root, Path(root))


def _restored_root(root: Path) -> Value:
    backup, marker = backup_of(root), root / RESTORING
    if (root / "format").exists():
        return restoring.check_objects(root) or WHOLE
    if (root / "objects").exists() and not marker.exists():  # all was there: the next start makes it a root
        open_root(root, writer=True).close()
        return restoring.check_objects(root) or ABSENT
    record = BackupRecord.read(backup)
    if record is None or (marker.exists() and marker.read_text().strip() not in ("", record.name)):
        return ABSENT  # and if another backup has taken the place of its own, it stays
    restoring.restore(backup, root)
    return restoring.check_objects(root) or ABSENT


OBSERVERS: dict[str, Callable[[Store, str], Awaitable[Value]]] = {
    "object": _object,
    "file": _file,
    "artifact": _artifact,
    "labels": _labels,
    "package": _package,
    "token": _token,
    "backup": _backup,
    "restored": _restored,
}
