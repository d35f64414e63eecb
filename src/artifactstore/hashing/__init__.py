"""BLAKE3 and SHA-256 of one stream in one pass, by the native kernel (native/artifact_hash.h is its contract).

    hasher = DualHasher()
    hasher.update(buffer)
    hasher.digests().blake3

Every call that takes bytes releases the GIL. The kernel is the best that this CPU runs, or the one that
`ARTIFACTSTORE_KERNEL` names. `SingleHasher` computes one digest of the two, `update_pair` advances two streams at once.
"""

from __future__ import annotations

import os
from collections.abc import Buffer
from typing import Any, Literal, NamedTuple, Self

from artifactstore.hashing._kernel import ffi as _ffi
from artifactstore.hashing._kernel import lib as _lib

#: The unit whose BLAKE3 chaining values the kernel can hand out, in bytes: 16 chunks.
GROUP_BYTES: int = _lib.AH_GROUP_BYTES
#: The size of an exported state, in bytes.
STATE_BYTES: int = _lib.AH_EXPORT_BYTES

_VARIABLE = "ARTIFACTSTORE_KERNEL"
# A hasher's first buffer, if it is no longer than this and cannot change, waits for the next call: most often that asks
# for the digests, and the two are one native call.
_WAITING_BYTES = 16384

_STATE = _ffi.typeof("ah_state *")
_BYTES = _ffi.typeof("uint8_t[]")
_ROOM = _ffi.typeof("uint8_t[64]")
# ah_init sets what is read, so the allocation need not be cleared
_new_state = _ffi.new_allocator(should_clear_after_alloc=False)
# bound here: to look a name up in cffi's library takes as long as a short call
_NULL = _ffi.NULL
_init = _lib.ah_init
_update = _lib.ah_update
_digests_into = _lib.ah_digests
_dual_digest = _lib.ah_dual_digest
_WHICH = {"blake3": _lib.AH_BLAKE3, "sha256": _lib.AH_SHA256}


class KernelUnavailableError(RuntimeError):
    """`ARTIFACTSTORE_KERNEL` names a kernel that does not exist, or that this CPU cannot run."""


class HasherBusyError(RuntimeError):
    """Two threads used one hasher at once. Its state, and so its digests, are still those of whole calls."""


class DualDigest(NamedTuple):
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


def _view(buffer: Buffer) -> Any:
    # bytes go to C as they are; the buffer protocol of others costs as much as the digest of a short one
    return buffer if type(buffer) is bytes else _ffi.from_buffer(_BYTES, buffer)


# Room for two digests: where each goes, and both to read. Kept for the next call, since making it costs as much as the
# digest of a short buffer; list.pop and list.append are atomic.
_Output = tuple[Any, Any, Any]
_outputs: list[_Output] = []


def _new_output() -> _Output:
    room = _ffi.new(_ROOM)
    return room, room + 32, _ffi.buffer(room)


def dual_digest(buffer: Buffer) -> DualDigest:
    """Both digests of one contiguous buffer, in one native call. BufferError for one that is not contiguous."""
    data = buffer if type(buffer) is bytes else _ffi.from_buffer(_BYTES, buffer)
    try:
        output = _outputs.pop()
    except IndexError:
        output = _new_output()
    blake3, sha256, both = output
    _dual_digest(data, len(data), blake3, sha256)
    # what DualDigest(blake3, sha256) does, in half the time
    digest = tuple.__new__(DualDigest, (both[:32], both[32:]))
    _outputs.append(output)
    return digest


class _Hasher:
    """What hashers share: a native state, and one thread at a time in it.

    Each call releases the GIL, so different hashers run at once. A call that meets another one on the same hasher
    raises HasherBusyError and changes nothing.
    """

    __slots__ = ("_busy", "_first", "_state")
    _which: int

    def __init__(self) -> None:
        self._busy = False
        self._first: bytes | None = None  # what waits, as long as there is no state
        self._state: Any = None

    def update(self, buffer: Buffer) -> None:
        """Take the next bytes: any contiguous buffer of any length. BufferError for one that is not contiguous."""
        waits = type(buffer) is bytes and len(buffer) <= _WAITING_BYTES
        # no call, so no other thread, between the look and the mark
        if waits and self._state is None and self._first is None and not self._busy:
            self._first = buffer  # type: ignore[assignment]  # it is bytes
            return
        data = _view(buffer)
        self._enter()
        try:
            _update(self._begun(), data, len(data), _NULL)
        finally:
            self._busy = False

    @property
    def length(self) -> int:
        """How many bytes were taken so far."""
        return len(self._first or b"") if self._state is None else int(_lib.ah_length(self._state))

    def _digests(self) -> DualDigest:
        try:
            output = _outputs.pop()
        except IndexError:
            output = _new_output()
        self._enter()
        try:
            _digests_into(self._begun(), output[0], output[1])
        finally:
            self._busy = False
        both = output[2]
        digest = DualDigest(both[:32], both[32:])
        _outputs.append(output)
        return digest

    def _begun(self) -> Any:
        """The native state, which has taken all that was given; within _enter."""
        if self._state is None:
            state = _new_state(_STATE)
            _init(state, self._which)
            if self._first is not None:
                _update(state, self._first, len(self._first), _NULL)
            self._state, self._first = state, None
        return self._state

    def _enter(self) -> None:
        # Under the GIL nothing comes between the look and the mark; the native call then runs without it.
        if self._busy:
            raise HasherBusyError("this hasher is in use by another thread")
        self._busy = True


class DualHasher(_Hasher):
    """Both digests of a stream that comes in pieces of any size. One thread at a time: else HasherBusyError."""

    __slots__ = ()
    _which = _lib.AH_BOTH

    def digests(self) -> DualDigest:
        """Both digests of what was taken so far; the hasher goes on being usable."""
        first = self._first
        return self._digests() if first is None else dual_digest(first)

    def copy(self) -> DualHasher:
        """An independent hasher that has taken the same bytes."""
        return DualHasher.import_state(self.export_state())

    def export_state(self) -> bytes:
        """The state as STATE_BYTES bytes, which any version and any kernel can go on from."""
        output = _ffi.new("uint8_t[]", STATE_BYTES)
        self._enter()
        try:
            _lib.ah_export(self._begun(), output)
        finally:
            self._busy = False
        return bytes(_ffi.buffer(output))

    @classmethod
    def import_state(cls, exported: bytes) -> Self:
        """A hasher that goes on from an exported state; ValueError for bytes that are none, or not of both digests."""
        hasher = cls()
        state = _new_state(_STATE)
        wanted = _lib.ah_import(state, exported, len(exported)) == _lib.AH_OK and exported[7] == _lib.AH_BOTH
        if not wanted:
            raise ValueError(f"not an exported hasher of {STATE_BYTES} bytes, or of another version")
        hasher._state = state
        return hasher


class SingleHasher(_Hasher):
    """One digest of a stream, for those who verify by the algorithm that was stored. Else as DualHasher."""

    __slots__ = ("_which", "algorithm")

    def __init__(self, algorithm: Literal["blake3", "sha256"]) -> None:
        super().__init__()
        self.algorithm = algorithm
        self._which = _WHICH[algorithm]

    def digest(self) -> bytes:
        """The digest of what was taken so far, 32 bytes; the hasher goes on being usable."""
        digests = self._digests()
        return digests.blake3 if self.algorithm == "blake3" else digests.sha256


def update_pair(first: _Hasher, first_buffer: Buffer, second: _Hasher, second_buffer: Buffer) -> None:
    """`first.update(first_buffer)` and `second.update(second_buffer)`, for more throughput where the CPU allows it.

    The hashers are two, of one kind; the buffers may differ in length. ValueError for one hasher given twice.
    """
    if first is second:
        raise ValueError("a pair is two hashers")
    one, other = _view(first_buffer), _view(second_buffer)
    first._enter()
    try:
        second._enter()
        try:
            _lib.ah_update_pair(first._begun(), one, len(one), second._begun(), other, len(other))
        finally:
            second._busy = False
    finally:
        first._busy = False


def _select() -> None:
    wanted = os.environ.get(_VARIABLE) or None
    if _lib.ah_select(_NULL if wanted is None else wanted.encode()) != _lib.AH_OK:
        raise KernelUnavailableError(f"{_VARIABLE}={wanted}: this CPU can run {', '.join(kernels())}")


_select()
