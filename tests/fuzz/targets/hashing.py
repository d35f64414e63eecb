"""The kernel behind its Python face: sequences of calls against hashlib and the blake3 wheel."""

from __future__ import annotations

import hashlib

from blake3 import blake3

from artifactstore.hashing import STATE_BYTES, DualHasher, dual_digest, update_pair

_PATTERN = bytes(range(251)) * 400
_LENGTHS = (0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 16384, 16385, 65537)


class _Stream:
    """A hasher, and what it was given."""

    def __init__(self) -> None:
        self.hasher = DualHasher()
        self.taken = bytearray()

    def check(self) -> None:
        found = self.hasher.digests()
        assert found.blake3 == blake3(self.taken).digest()
        assert found.sha256 == hashlib.sha256(self.taken).digest()
        assert self.hasher.length == len(self.taken)


def sequence(data: bytes) -> None:
    """Two streams; each pair of bytes is an operation and its argument."""
    streams = [_Stream(), _Stream()]
    steps = data[: 2 * 40]
    for operation, argument in zip(steps[::2], steps[1::2], strict=False):
        one, other = streams if operation & 1 else reversed(streams)
        piece = _piece(argument)
        match operation >> 1 & 7:
            case 0 | 1 | 2:
                one.hasher.update(piece)
                one.taken += piece
            case 3:
                second = _piece(argument ^ operation)
                update_pair(one.hasher, piece, other.hasher, second)
                one.taken += piece
                other.taken += second
            case 4:
                one.check()
            case 5:
                one.hasher = DualHasher.import_state(one.hasher.export_state())
            case 6:
                kept, before = one.hasher.copy(), bytes(one.taken)
                one.hasher.update(piece)
                one.taken += piece
                assert kept.digests().sha256 == hashlib.sha256(before).digest()
            case _:
                assert dual_digest(piece).blake3 == blake3(piece).digest()
    for stream in streams:
        stream.check()
    _import(data[-STATE_BYTES:])


def _piece(argument: int) -> bytes:
    length = _LENGTHS[argument % len(_LENGTHS)] + argument // 16
    return _PATTERN[argument : argument + length]


def _import(state: bytes) -> None:
    """Bytes that are no state are refused; bytes that are one can be gone on from."""
    try:
        hasher = DualHasher.import_state(state)
    except ValueError:
        return
    hasher.update(b"x" * 100)
    hasher.digests()
