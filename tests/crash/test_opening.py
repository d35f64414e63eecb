"""Each call that an opening of the log makes, failing once: it fails as a whole, or what it opens can be written."""

from __future__ import annotations

from pathlib import Path

from tests.crash import shim
from tests.crash.test_harness import run

PROGRAM = """
import errno, sqlite3, sys
from pathlib import Path
from artifactstore.registry.sqlite import writer_engine
from tests.crash.shim import Action, Shim

def insert(engine):
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO items VALUES (1)")
    finally:
        engine.dispose()

file = Path(sys.argv[1], "log.sqlite3")
engine = writer_engine(file)
with engine.begin() as connection:
    connection.exec_driver_sql("CREATE TABLE items (number INTEGER)")
insert(engine)
shim, nth, failed = Shim(), 0, True
while failed:
    nth += 1
    shim.watch(file.parent)
    shim.at(nth, Action.ERROR, errno.EIO)
    try:
        engine = writer_engine(file)
    except sqlite3.Error:
        failed, engine = True, None
    else:
        failed = shim.count >= nth
    shim.disarm()
    if engine is not None:
        insert(engine)
print("calls", nth - 1)
"""


def test_a_log_that_cannot_be_opened_for_writing_is_not_opened_for_reading(tmp_path: Path) -> None:
    library = shim.build(tmp_path / "library")
    directory = tmp_path / "registry"
    directory.mkdir()
    said, calls = run(library, PROGRAM, directory).split()
    assert said == "calls"
    assert int(calls) > 1
