"""Of the log, its views and its reserve, and of what a start finishes."""

from __future__ import annotations

from tests.crash.mutations.mutation import Mutation

_PUTS = "--only put_new --run promises=1"

LOG = (
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
        "unfinished deletions are not finished at a start",
        "bootstrap.py",
        "if not read_only and (finished := await store.recover()):",
        "if not read_only and (finished := 0):",
        "--only delete --calls unlink --run kills=1",
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
)
