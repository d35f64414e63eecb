"""BLAKE3 and SHA-256 in plain Python: slow, short, and the oracle of the tests. It shares nothing with the kernel.

Sources: BLAKE3 paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn), sections 2.1 to 2.4; FIPS 180-4, section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_MASK = 0xFFFFFFFF
CHUNK_BYTES = 1024
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT = 1, 2, 4, 8
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)


def _primes(count: int) -> Iterator[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
            yield candidate
        candidate += 1


def _root_fraction(number: int, root: int) -> int:
    """The first 32 bits of the fractional part of the square or cube root of `number`, by integers alone."""
    scaled = number << (32 * root)
    low, high = 0, 1 << 48
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle - 1)
    return low & _MASK


IV = tuple(_root_fraction(prime, 2) for prime in _primes(8))
_K = tuple(_root_fraction(prime, 3) for prime in _primes(64))


def _rotate(word: int, count: int) -> int:
    return (word >> count | word << (32 - count)) & _MASK


def compress(cv: Sequence[int], block: bytes, counter: int, flags: int) -> tuple[int, ...]:
    """One BLAKE3 compression of a block of at most 64 bytes; the first eight words of its output."""
    message = [int.from_bytes(block.ljust(64, b"\0")[at : at + 4], "little") for at in range(0, 64, 4)]
    v = [*cv, *IV[:4], counter & _MASK, counter >> 32, len(block), flags]
    quarter = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
    diagonal = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    for _ in range(7):
        for index, (a, b, c, d) in enumerate(quarter + diagonal):
            for word, first, second in ((message[2 * index], 16, 12), (message[2 * index + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & _MASK
                v[d] = _rotate(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & _MASK
                v[b] = _rotate(v[b] ^ v[c], second)
        message = [message[source] for source in _PERMUTATION]
    return tuple(v[index] ^ v[index + 8] for index in range(8))


def _bytes(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


def chunk_value(chunk: bytes, counter: int, *, root: bool = False) -> bytes:
    """The chaining value of one chunk of at most 1,024 bytes, or the digest of a stream that is only that."""
    cv: Sequence[int] = IV
    blocks = [chunk[at : at + 64] for at in range(0, len(chunk), 64)] or [b""]
    for index, block in enumerate(blocks):
        flags = _CHUNK_START if index == 0 else 0
        if index == len(blocks) - 1:
            flags |= _CHUNK_END | (_ROOT if root else 0)
        cv = compress(cv, block, counter, flags)
    return _bytes(cv)


def parent_value(left: bytes, right: bytes, *, root: bool = False) -> bytes:
    """The chaining value above two others, or the digest if they are all there is."""
    return _bytes(compress(IV, left + right, 0, _PARENT | (_ROOT if root else 0)))


def subtree_value(data: bytes, counter: int = 0, *, root: bool = False) -> bytes:
    """The chaining value of consecutive chunks of which the first has number `counter`; with `root`, their digest."""
    if len(data) <= CHUNK_BYTES:
        return chunk_value(data, counter, root=root)
    # the left subtree is the largest power of two of chunks that leaves something to the right
    left = CHUNK_BYTES << (((len(data) - 1) // CHUNK_BYTES).bit_length() - 1)
    first = subtree_value(data[:left], counter)
    second = subtree_value(data[left:], counter + left // CHUNK_BYTES)
    return parent_value(first, second, root=root)


def blake3(data: bytes) -> bytes:
    """The BLAKE3 digest, 32 bytes."""
    return subtree_value(data, root=True)


def sha256_compress(state: Sequence[int], block: bytes) -> tuple[int, ...]:
    """One SHA-256 compression of a block of 64 bytes."""
    w = [int.from_bytes(block[at : at + 4], "big") for at in range(0, 64, 4)]
    for t in range(16, 64):
        s0 = _rotate(w[t - 15], 7) ^ _rotate(w[t - 15], 18) ^ w[t - 15] >> 3
        s1 = _rotate(w[t - 2], 17) ^ _rotate(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append((w[t - 16] + s0 + w[t - 7] + s1) & _MASK)
    a, b, c, d, e, f, g, h = state
    for t in range(64):
        s1 = _rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)
        t1 = h + s1 + (e & f ^ ~e & g) + _K[t] + w[t]
        t2 = (_rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (t1 + t2) & _MASK, a, b, c, (d + t1) & _MASK, e, f, g
    return tuple((old + new) & _MASK for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True))


def sha256(data: bytes) -> bytes:
    """The SHA-256 digest, 32 bytes."""
    padded = data + b"\x80" + b"\0" * (-(len(data) + 9) % 64) + (8 * len(data)).to_bytes(8, "big")
    state: Sequence[int] = IV
    for at in range(0, len(padded), 64):
        state = sha256_compress(state, padded[at : at + 64])
    return b"".join(word.to_bytes(4, "big") for word in state)
