"""BLAKE3 and SHA-256 of one stream in one pass, by the native kernel (native/artifact_hash.h is its contract).

    hasher = DualHasher()
    hasher.update(buffer)
    hasher.digests().blake3

Every call releases the GIL. The kernel is the best that this CPU runs, or the one that `ARTIFACTSTORE_KERNEL` names.
"""

from __future__ import annotations

import os
from collections.abc import Buffer
from dataclasses import dataclass
from typing import Self

from artifactstore.hashing._kernel import ffi as _ffi
from artifactstore.hashing._kernel import lib as _lib

#: The unit whose BLAKE3 chaining values the kernel can hand out, in bytes: 16 chunks.
GROUP_BYTES: int = _lib.AH_GROUP_BYTES
#: The size of an exported state, in bytes.
STATE_BYTES: int = _lib.AH_EXPORT_BYTES

_VARIABLE = "ARTIFACTSTORE_KERNEL"


class KernelUnavailableError(RuntimeError):
    """`ARTIFACTSTORE_KERNEL` names a kernel that does not exist, or that this CPU cannot run."""


class HasherBusyError(RuntimeError):
    """Two threads used one hasher at once. Its state, and so its digests, are still those of whole calls."""


@dataclass(frozen=True, slots=True)
class DualDigest:
    """Both digests of the same bytes, 32 bytes each."""

    blake3: bytes
    sha256: bytes


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


def dual_digest(buffer: Buffer) -> DualDigest:
    """Both digests of one contiguous buffer, in one native call. BufferError for one that is not contiguous."""
    output = bytearray(64)
    data = _ffi.from_buffer("uint8_t[]", buffer)
    out = _ffi.from_buffer("uint8_t[]", output)
    _lib.ah_dual_digest(data, len(data), out, out + 32)
    return DualDigest(bytes(output[:32]), bytes(output[32:]))


class DualHasher:
    """Both digests of a stream that comes in pieces of any size.

    Each call releases the GIL, so different hashers run at once. One hasher is for one thread at a time: a call that
    meets another one raises HasherBusyError and changes nothing.
    """

    __slots__ = ("_busy", "_state")

    def __init__(self) -> None:
        self._state = _ffi.new("ah_state *")
        self._busy = False
        _lib.ah_init(self._state, _lib.AH_BOTH)

    def update(self, buffer: Buffer) -> None:
        """Take the next bytes: any contiguous buffer of any length. BufferError for one that is not contiguous."""
        data = _ffi.from_buffer("uint8_t[]", buffer)
        self._enter()
        try:
            _lib.ah_update(self._state, data, len(data), _ffi.NULL)
        finally:
            self._busy = False

    def digests(self) -> DualDigest:
        """Both digests of what was taken so far; the hasher goes on being usable."""
        output = _ffi.new("uint8_t[64]")
        self._enter()
        try:
            _lib.ah_digests(self._state, output, output + 32)
        finally:
            self._busy = False
        return DualDigest(bytes(_ffi.buffer(output, 32)), bytes(_ffi.buffer(output + 32, 32)))

    @property
    def length(self) -> int:
        """How many bytes were taken so far."""
        return int(_lib.ah_length(self._state))

    def copy(self) -> DualHasher:
        """An independent hasher that has taken the same bytes."""
        return DualHasher.import_state(self.export_state())

    def export_state(self) -> bytes:
        """The state as STATE_BYTES bytes, which any version and any kernel can go on from."""
        output = _ffi.new("uint8_t[]", STATE_BYTES)
        self._enter()
        try:
            _lib.ah_export(self._state, output)
        finally:
            self._busy = False
        return bytes(_ffi.buffer(output))

    @classmethod
    def import_state(cls, exported: bytes) -> Self:
        """A hasher that goes on from an exported state; ValueError for bytes that are none."""
        hasher = cls()
        if _lib.ah_import(hasher._state, exported, len(exported)) != _lib.AH_OK:
            raise ValueError(f"not an exported hasher of {STATE_BYTES} bytes, or of a later version")
        return hasher

    def _enter(self) -> None:
        # Under the GIL nothing comes between the look and the mark; the native call then runs without it.
        if self._busy:
            raise HasherBusyError("this hasher is in use by another thread")
        self._busy = True


def _select() -> None:
    wanted = os.environ.get(_VARIABLE) or None
    if _lib.ah_select(_ffi.NULL if wanted is None else wanted.encode()) != _lib.AH_OK:
        raise KernelUnavailableError(f"{_VARIABLE}={wanted}: this CPU can run {', '.join(kernels())}")


_select()
