"""BLAKE3 and SHA-256 of one stream in one pass, by the native kernel (native/artifact_hash.h is its contract).

    hasher = DualHasher()
    hasher.update(buffer)
    hasher.digests().blake3

A call that takes 2,048 bytes or more releases the GIL. The kernel is the best that this CPU runs, or the one that
`ARTIFACTSTORE_KERNEL` names. `SingleHasher` computes one digest of the two, `update_pair` advances two streams at once.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Self

from artifactstore.domain.errors import ConfigurationError
from artifactstore.hashing import _face
from artifactstore.hashing._kernel import ffi as _ffi
from artifactstore.hashing._kernel import lib as _lib

#: The unit whose BLAKE3 chaining values the kernel can hand out, in bytes: 16 chunks.
GROUP_BYTES: int = _lib.AH_GROUP_BYTES
#: The size of an exported state, in bytes.
STATE_BYTES: int = _lib.AH_EXPORT_BYTES

_VARIABLE = "ARTIFACTSTORE_KERNEL"


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
#: Two hashers advanced at once: `update_pair(first, first_buffer, second, second_buffer)`.
update_pair = _face.update_pair


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


class DualHasher(_face.Dual):
    """Both digests of a stream that comes in pieces of any size.

    Different hashers run at once, see native/python/face.c. What meets a call on the same hasher, `length` too, raises
    HasherBusyError and changes nothing.
    """

    __slots__ = ()

    def copy(self) -> DualHasher:
        """An independent hasher that has taken the same bytes."""
        return DualHasher.import_state(self.export_state())

    @classmethod
    def import_state(cls, exported: bytes) -> Self:
        """A hasher that goes on from an exported state; ValueError for bytes that are none, or not of both digests."""
        hasher = cls()
        if not hasher._import_state(exported):
            raise ValueError(f"not an exported hasher of {STATE_BYTES} bytes, or of another version")
        return hasher


class SingleHasher(_face.Single):
    """One digest of a stream, for those who verify by the algorithm that was stored. Else as DualHasher."""

    __slots__ = ()


def _select() -> None:
    wanted = os.environ.get(_VARIABLE) or None
    if _lib.ah_select(_ffi.NULL if wanted is None else os.fsencode(wanted)) != _lib.AH_OK:
        shown = wanted and ascii(wanted)[1:-1]  # the environment may hold anything
        raise KernelUnavailableError(f"{_VARIABLE}={shown}: this CPU can run {', '.join(kernels())}")


_select()
