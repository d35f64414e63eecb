"""How cffi builds `artifactstore.hashing._kernel` from native/. Run by setup.py, never imported by the package."""

from __future__ import annotations

import os
from pathlib import Path

from cffi import FFI

_PROJECT = Path(__file__).parents[3]
_SOURCES = ("dual.c", "dispatch.c", "portable.c", "blake3_portable.c", "sha256_portable.c")

kernel = FFI()
kernel.cdef((_PROJECT / "native" / "cdef.h").read_text())
kernel.set_source(
    "artifactstore.hashing._kernel",
    '#include "artifact_hash.h"',
    # setuptools wants paths relative to the project; that is where it runs this
    sources=[f"native/{name}" for name in _SOURCES],
    depends=[f"native/{path.name}" for path in sorted((_PROJECT / "native").glob("*.h"))],
    include_dirs=["native"],
    # -fno-tree-vectorize: gcc turns single rotations into vector shifts here, at half the speed
    extra_compile_args=[
        *("-std=c11", "-O3", "-fno-tree-vectorize", "-fvisibility=hidden"),
        *os.environ.get("ARTIFACTSTORE_CFLAGS", "").split(),
    ],
)
