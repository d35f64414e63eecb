"""native/python/face.c: a second module in the library of cffi's, for one kernel and one dispatch table."""

from importlib.util import module_from_spec, spec_from_file_location

from artifactstore.hashing import _kernel

_spec = spec_from_file_location(__name__, _kernel.__file__)
if _spec is None or _spec.loader is None:
    raise ImportError(f"{_kernel.__file__} is no extension module")
_native = module_from_spec(_spec)
_spec.loader.exec_module(_native)

Dual = _native.Dual
Hasher = _native.Hasher
Single = _native.Single
bind = _native.bind
dual_digest = _native.dual_digest
update_pair = _native.update_pair
