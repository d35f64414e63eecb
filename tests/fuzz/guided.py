"""`python -m tests.fuzz.guided TARGET SECONDS`: one target under atheris; it ends the process itself."""

from __future__ import annotations

import sys

import atheris

from tests.fuzz.__main__ import CORPUS, FOUND

_MOST_BYTES = 8192
_MOST_SECONDS = 20  # for one input: what takes longer is a finding


def main(name: str, seconds: str) -> None:
    """Never returns."""
    with atheris.instrument_imports(include=["artifactstore"]):
        from tests.fuzz.targets import TARGETS
    options = [
        sys.argv[0],
        str(FOUND / name),
        str(CORPUS / name),
        f"-max_total_time={seconds}",
        f"-max_len={_MOST_BYTES}",
        f"-timeout={_MOST_SECONDS}",
        f"-artifact_prefix={FOUND}/{name}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup(options, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
