"""Of how a root is made, and of the syncs of directories that all use."""

from __future__ import annotations

from tests.crash.mutations.mutation import Mutation

ROOTS = (
    Mutation(
        "a failed sync of a directory is no failure",
        "storage/durability.py",
        "        os.fsync(descriptor)\n",
        "        try:\n            os.fsync(descriptor)\n        except OSError:\n            pass\n",
        "--only put_new --calls sync --run failed=1",
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
        "a directory's name is not synced",
        "storage/durability.py",
        "    path.mkdir(mode, exist_ok=True)\n    sync_directory(path.parent)\n",
        "    path.mkdir(mode, exist_ok=True)\n",
        "--only making,backup --run promises=1",
        "whoever makes a root or a backup syncs all names once more, since those that were there may not be durable; "
        "this one fails aloud where the directory above may be written and not read",
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
