"""`python -m tests.fuzz SECONDS [TARGET...]`: each target in turn, for its share of the time, from the kept corpus.

With atheris, libFuzzer drives, guided by the coverage of our sources; new inputs go to build/fuzz/TARGET. Where atheris
has no wheel, that is said, and the corpus is mutated blindly instead. A finding is written to build/fuzz, and ends it.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FOUND = HERE.parents[1] / "build/fuzz"


NAMES = sorted(path.name for path in CORPUS.iterdir())


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 1 with the first target that found something."""
    chosen = arguments[1:] or NAMES
    share = max(1, round(float(arguments[0]) / len(chosen)))
    for name in chosen:
        (FOUND / name).mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("atheris") is not None:
        from tests.fuzz import guided

        faulty = guided.run(chosen, share, CORPUS, FOUND)
    else:
        print("NOT GUIDED: atheris has no wheel for this Python or this CPU; the corpus is mutated blindly")
        faulty = next((name for name in chosen if blindly(name, share)), None)
    if faulty is not None:
        print(f"FOUND by {faulty}: see {FOUND}")
    return 0 if faulty is None else 1


def blindly(name: str, seconds: float) -> int:
    """Mutations of the corpus, for so long."""
    from tests.fuzz.targets import TARGETS

    seeds = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    chance, count, end = random.Random(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(chance, seeds)
        count += 1
        try:
            TARGETS[name](data)
        except BaseException:
            (FOUND / f"crash-{name}").write_bytes(data)
            raise
    print(f"{name}: {count} executions")
    return 0


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with a few bytes changed, put in, taken out, or exchanged with another's."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        place = chance.randint(0, len(data))
        match chance.randint(0, 3):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                data[place:place] = chance.randbytes(chance.randint(1, 4))
            case 2:
                del data[place : place + chance.randint(1, 8)]
            case _:
                other = chance.choice(seeds)
                begin = chance.randint(0, len(other))
                data[place:place] = other[begin : begin + chance.randint(1, 64)]
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
