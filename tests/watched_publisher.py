"""The native publisher with its system calls made by Python's `os`, so that a test sees them and can let them fail."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cffi import FFI

from artifactstore.storage import publisher
from tests.syscalls import Crash

_TESTS = Path(__file__).parent
_SOURCES = _TESTS.parent / "native" / "publisher"
_BY_PYTHON = "long by_python(const char *, int, const char *, const char *, int, const void *, size_t)"


def watch_publisher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the publishers that are made from here on call through `os`. Whatever is substituted there, they see."""
    module = _module()
    monkeypatch.setattr(publisher, "lib", module.lib)
    monkeypatch.setattr(publisher, "ffi", module.ffi)


@lru_cache
def _module() -> Any:
    builder = FFI()
    builder.cdef((_SOURCES / "cdef.h").read_text() + f'extern "Python" {_BY_PYTHON};')
    builder.set_source("watched_publisher", '#include "watched_publisher.h"', include_dirs=[str(_SOURCES), str(_TESTS)])
    with tempfile.TemporaryDirectory() as directory:
        module = _imported(builder.compile(tmpdir=directory))
    module.ffi.def_extern(name="by_python")(lambda *call: _made(module.ffi, *call))
    return module


def _imported(file: str) -> Any:
    spec = importlib.util.spec_from_file_location("watched_publisher", file)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _made(ffi: Any, call: Any, file: int, path: Any, other: Any, flags: int, data: Any, size: int) -> int:
    """Make the call, in the thread of the publisher; what it gives, or minus an errno."""
    first, second = os.fsdecode(ffi.string(path)), os.fsdecode(ffi.string(other))
    try:
        match ffi.string(call):
            case b"open":
                return os.open(first, flags, 0o440)
            case b"write":
                return os.write(file, ffi.buffer(data, size)[:])
            case b"fdatasync":
                os.fdatasync(file)
            case b"fsync":
                os.fsync(file)
            case b"link":
                os.link(first, second, dst_dir_fd=file, follow_symlinks=bool(flags))
            case b"unlink":
                os.unlink(first, dir_fd=None if file < 0 else file)
            case unknown:
                raise AssertionError(unknown)
    except OSError as error:
        return -(error.errno or errno.EIO)
    except Crash:
        return -errno.EOWNERDEAD
    return 0
