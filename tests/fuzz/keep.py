"""`python -m tests.fuzz.keep [TARGET...]`: of what fuzzing has found (build/fuzz), add to the corpus what gets further.

An input gets further if it reaches a line, or takes a branch, of our sources that no smaller one and nothing of the
corpus does. Fuzzing begins with what is kept, on any machine, and every run of the tests tries it once. Only guided
fuzzing, with atheris, writes down what it found.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from pathlib import Path
from types import CodeType

import artifactstore
from tests.fuzz.__main__ import CORPUS, FOUND, NAMES
from tests.fuzz.targets import TARGETS

_PACKAGE = str(Path(artifactstore.__file__).parent)
_EVENTS = sys.monitoring.events
_TOOL = sys.monitoring.COVERAGE_ID


class Coverage:
    """Whether something new was reached since it was last asked."""

    def __init__(self) -> None:
        self._new = False
        sys.monitoring.use_tool_id(_TOOL, "keep")
        sys.monitoring.register_callback(_TOOL, _EVENTS.LINE, self._line)
        sys.monitoring.register_callback(_TOOL, _EVENTS.BRANCH, self._branch)
        self._taken: set[tuple[CodeType, int, int]] = set()
        sys.monitoring.set_events(_TOOL, _EVENTS.LINE | _EVENTS.BRANCH)

    def _line(self, code: CodeType, _line: int) -> object:
        self._new = self._new or code.co_filename.startswith(_PACKAGE)
        return sys.monitoring.DISABLE  # of this line: it is not new again

    def _branch(self, code: CodeType, origin: int, target: int) -> object:
        if not code.co_filename.startswith(_PACKAGE):
            return sys.monitoring.DISABLE
        way = (code, origin, target)
        self._new = self._new or way not in self._taken
        self._taken.add(way)
        return None  # the other way is another one

    def got_further(self, target: str, data: bytes) -> bool:
        """Whether the target reaches with these bytes what it has not reached before."""
        self._new = False
        TARGETS[target](data)
        return self._new

    def close(self) -> None:
        """For the next target, all is new."""
        sys.monitoring.set_events(_TOOL, _EVENTS.NO_EVENTS)
        sys.monitoring.free_tool_id(_TOOL)
        sys.monitoring.restart_events()


def keep(name: str) -> int:
    """How many inputs were added."""
    kept = CORPUS / name
    coverage, added = Coverage(), 0
    try:
        for path in sorted(kept.iterdir()):
            coverage.got_further(name, path.read_bytes())
        found = [path.read_bytes() for path in (FOUND / name).iterdir()] if (FOUND / name).is_dir() else []
        for data in sorted(found, key=lambda data: (len(data), data)):
            if coverage.got_further(name, data):
                (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
                added += 1
    finally:
        coverage.close()
    return added


if __name__ == "__main__":
    logging.disable()  # of what is refused
    for chosen in sys.argv[1:] or NAMES:
        print(f"{chosen}: {keep(chosen)} kept")
