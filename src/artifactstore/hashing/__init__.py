"""BLAKE3 and SHA-256 of one stream in one pass, by the native kernel (native/artifact_hash.h is its contract).

    hasher = DualHasher()
    hasher.update(buffer)
    hasher.digests().blake3

A call that takes 2,048 bytes or more releases the GIL. The kernel is the best that this CPU runs, or the one that
`ARTIFACTSTORE_KERNEL` names. `SingleHasher` computes one digest of the two, `update_pair` advances two streams at once.
"""

from __future__ import annotations

import os
from collections.abc import Buffer
from typing import Any, NamedTuple, Self

from artifactstore.domain.errors import ConfigurationError
from artifactstore.hashing import _face
from artifactstore.hashing._kernel import ffi as _ffi
from artifactstore.hashing._kernel import lib as _lib

#: The unit whose BLAKE3 chaining values the kernel can hand out, in bytes: 16 chunks.
GROUP_BYTES: int = _lib.AH_GROUP_BYTES
#: The size of an exported state, in bytes.
STATE_BYTES: int = _lib.AH_EXPORT_BYTES

_VARIABLE = "ARTIFACTSTORE_KERNEL"
_STATE = _ffi.typeof("ah_state *")
_BYTES = _ffi.typeof("uint8_t[]")


class KernelUnavailableError(ConfigurationError):
    """`ARTIFACTSTORE_KERNEL` names a kernel that does not exist, or that this CPU cannot run."""

    code = "kernel-unavailable"


class HasherBusyError(RuntimeError):
    """Two threads used one hasher at once. Its state, and so its digests, are still those of whole calls."""


class DualDigest(NamedTuple):
    """Both digests of the same bytes, 32 bytes each."""

    blake3: bytes
    sha256: bytes


_face.bind(DualDigest, HasherBusyError)
#: Both digests of one contiguous buffer, in one native call. BufferError for one that is not contiguous.
dual_digest = _face.dual_digest


def kernels() -> tuple[str, ...]:
    """The names of the kernels that this CPU can run, best first."""
    names: list[str] = []
    while name := _lib.ah_kernel_name(len(names)):
        names.append(_ffi.string(name).decode())
    return tuple(names)


def active_kernel() -> str:
    """The name of the kernel in use."""
    return str(_ffi.string(_lib.ah_active()).decode())


def kernel_hits() -> dict[str, int]:
    """How often each runnable kernel was entered by this process: the proof of which one ran."""
    return {name: _lib.ah_kernel_hits(index) for index, name in enumerate(kernels())}


def _state(hasher: _face.Hasher) -> Any:
    """The native state, for this thread alone until hasher._leave(); HasherBusyError if it is another's."""
    return _ffi.cast(_STATE, hasher._enter())


class DualHasher(_face.Dual):
    """Both digests of a stream that comes in pieces of any size.

    Different hashers run at once, see native/python/face.c. A call that meets another one on the same hasher raises
    HasherBusyError and changes nothing.
    """

    __slots__ = ()

    def copy(self) -> DualHasher:
        """An independent hasher that has taken the same bytes."""
        return DualHasher.import_state(self.export_state())

    def export_state(self) -> bytes:
        """The state as STATE_BYTES bytes, which any version and any kernel can go on from."""
        output = _ffi.new("uint8_t[]", STATE_BYTES)
        state = _state(self)
        try:
            _lib.ah_export(state, output)
        finally:
            self._leave()
        return bytes(_ffi.buffer(output))

    @classmethod
    def import_state(cls, exported: bytes) -> Self:
        """A hasher that goes on from an exported state; ValueError for bytes that are none, or not of both digests."""
        hasher = cls()
        state = _state(hasher)
        wanted = _lib.ah_import(state, exported, len(exported)) == _lib.AH_OK and exported[7] == _lib.AH_BOTH
        hasher._leave()
        if not wanted:
            raise ValueError(f"not an exported hasher of {STATE_BYTES} bytes, or of another version")
        return hasher


class SingleHasher(_face.Single):
    """One digest of a stream, for those who verify by the algorithm that was stored. Else as DualHasher."""

    __slots__ = ()


def update_pair(first: _face.Hasher, first_buffer: Buffer, second: _face.Hasher, second_buffer: Buffer) -> None:
    """`first.update(first_buffer)` and `second.update(second_buffer)`, for more throughput where the CPU allows it.

    The hashers are two, of one kind; the buffers may differ in length. ValueError for one hasher given twice.
    """
    if first is second:
        raise ValueError("a pair is two hashers")
    one, other = _ffi.from_buffer(_BYTES, first_buffer), _ffi.from_buffer(_BYTES, second_buffer)
    first_state = _state(first)
    try:
        second_state = _state(second)
        try:
            _lib.ah_update_pair(first_state, one, len(one), second_state, other, len(other))
        finally:
            second._leave()
    finally:
        first._leave()


def _select() -> None:
    wanted = os.environ.get(_VARIABLE) or None
    if _lib.ah_select(_ffi.NULL if wanted is None else wanted.encode()) != _lib.AH_OK:
        raise KernelUnavailableError(f"{_VARIABLE}={wanted}: this CPU can run {', '.join(kernels())}")


_select()
