"""How cffi builds `artifactstore.storage._publisher` from native/publisher; for setup.py, not for the package."""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

_PROJECT = Path(__file__).parents[3]

publisher = FFI()
publisher.cdef((_PROJECT / "native" / "publisher" / "cdef.h").read_text())
publisher.set_source(
    "artifactstore.storage._publisher",
    '#include "publisher.h"',
    # setuptools wants paths relative to the project; that is where it runs this
    sources=["native/publisher/publisher.c"],
    depends=["native/publisher/publisher.h"],
    include_dirs=["native/publisher"],
    extra_compile_args=["-std=c11", "-O2", "-pthread", "-fvisibility=hidden"],
)
