"""How cffi builds `artifactstore.hashing._kernel` from native/ and asm/; for setup.py, not for the package.

`ARTIFACTSTORE_NO_ASM=1` leaves the assembly out: the package is then slower and gives the same digests.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cffi import FFI

_PROJECT = Path(__file__).parents[3]
#: What the platform calls the machines that asm/ has a directory for.
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def _files(directory: str, *patterns: str) -> list[str]:
    # setuptools wants paths relative to the project; that is where it runs this
    found = (path for pattern in patterns for path in (_PROJECT / directory).glob(pattern))
    return sorted(str(path.relative_to(_PROJECT)) for path in found)


def _assembly() -> list[str]:
    if os.environ.get("ARTIFACTSTORE_NO_ASM", "0") != "0":
        return []
    return _files(f"asm/{_MACHINES.get(platform.machine().lower(), 'none')}", "*.S")


kernel = FFI()
kernel.cdef((_PROJECT / "native" / "cdef.h").read_text())
kernel.set_source(
    "artifactstore.hashing._kernel",
    '#include "artifact_hash.h"',
    sources=[*_files("native", "*.c", "python/*.c"), *_assembly()],
    depends=[*_files("native", "*.h"), *_files("asm", "*/*.h", "*/*.inc")],
    include_dirs=["native"],
    define_macros=[("AH_ASM", "1")] if _assembly() else [],
    # -fno-tree-vectorize: gcc turns single rotations into vector shifts here, at half the speed
    extra_compile_args=["-std=c11", "-O3", "-fno-tree-vectorize", "-fvisibility=hidden"],
)
