"""Of how a backup is made, and a root of one."""

from __future__ import annotations

from tests.crash.mutations.mutation import Mutation

_BACKUPS = "--only backup --run promises=1"
_RESTORED = (
    "        with Snapshot(restored.registry / DATABASE_FILE) as snapshot:\n"
    "            progress = None if announce is None else announce(snapshot.volume()[1])\n"
    '            copied = Copying(source / "objects", restored.objects, restored.staging)'
    ".run(snapshot.objects(), progress)\n"
)

BACKUPS = (
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
    Mutation(
        "what only the earlier backup names is removed before the new one's record is there",
        "backups/taking.py",
        "    record.write(directory)\n",
        "    with Snapshot(directory / record.database) as snapshot:\n        _prune(directory, snapshot)\n"
        "    record.write(directory)\n",
        "--only backup --from 345 --run kills=1",
    ),
    Mutation(
        "what is restored is a root before its objects are there",
        "backups/restoring.py",
        _RESTORED + "        finish_restoring(restored)\n",
        "        finish_restoring(restored)\n" + _RESTORED,
        "--only backup --calls rename,link --run kills=1",
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
)
