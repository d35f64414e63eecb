"""The suite itself: nothing is left out of `make test` unseen."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
#: Run by a target of its own.
APART = {"tests/hostile", "tests/mounts", "tests/proxy"}


def test_every_folder_of_tests_is_run() -> None:
    options = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    folders = {f"tests/{path.name}" for path in (PROJECT / "tests").iterdir() if (path / "__init__.py").is_file()}
    assert folders == {*options["testpaths"], *APART}
    assert not list((PROJECT / "tests").glob("test_*.py"))
    for target in ("make test-mounts", "make test-proxy"):
        assert target in (PROJECT / ".ci" / "run").read_text()
