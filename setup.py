"""Builds what is native; everything else is in pyproject.toml."""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import time
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError

#: What a mistake in the C is to run into: checked stacks and copies, tables that are read-only once they are filled, no
#: stack that can be executed. tests/kernel/test_hardening.py looks at what was built; ADR-0037 has what they cost.
_HARDENED = ("-fstack-protector-strong", "-fstack-clash-protection", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3")
_LINKED = ("-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,-z,text")
#: The same bytes wherever it is built: no path of the machine, and no debug data, in which the assembler leaves some
#: whatever it is told; ARTIFACTSTORE_CFLAGS=-g asks for it.
_ANYWHERE = (f"-ffile-prefix-map={Path(__file__).parent}=.", "-g0")


class BuildNative(build_ext):
    """With the flags that all of it has. setuptools refuses assembly; without an assembler the kernel does without."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # objects that are up to date may have been built under the other setting of the switch

    def build_extension(self, ext: Extension) -> None:
        given = os.environ.get("ARTIFACTSTORE_CFLAGS", "").split()
        ext.extra_compile_args = [*ext.extra_compile_args, *_HARDENED, *_ANYWHERE, *given]
        ext.extra_link_args = [*ext.extra_link_args, *_LINKED]
        self.compiler.src_extensions = [*self.compiler.src_extensions, ".S"]
        if any(Path(source).suffix == ".S" for source in ext.sources) and not self._assembles():
            self.warn("no assembler for asm/: the kernel is built without it, and is slower")
            ext.sources = [source for source in ext.sources if Path(source).suffix != ".S"]
            ext.define_macros = [macro for macro in ext.define_macros if macro[0] != "AH_ASM"]
        super().build_extension(ext)

    def _assembles(self) -> bool:
        with tempfile.TemporaryDirectory() as directory:
            probe = Path(directory, "probe.S")
            probe.write_text(".macro NOTHING\n.endm\n.text\nNOTHING\n")
            try:
                self.compiler.compile([str(probe)], output_dir=directory)
            except CompileError:
                return False
        return True


class StableWheel(bdist_wheel):
    """cffi compiles against the limited API, so one wheel serves every CPython from 3.12 on."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp312"
        super().finalize_options()


class SameArchive(sdist):
    """The same bytes wherever it is made: names in order, one time (SOURCE_DATE_EPOCH), modes that no umask changed."""

    def make_archive(
        self,
        base_name: str | os.PathLike[str],
        format: str,
        root_dir: str | os.PathLike[str] | bytes | os.PathLike[bytes] | None = None,
        base_dir: str | None = None,
        owner: str | None = None,
        group: str | None = None,
    ) -> str:
        if format != "gztar" or base_dir is None:
            # the types of this one and of what it calls differ
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)  # type: ignore[arg-type, misc]
        self._moment = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
        name = f"{os.fspath(base_name)}.tar.gz"
        with (
            Path(name).open("wb") as file,
            # without a name: else the directory that it is built in would be in it
            gzip.GzipFile("", "wb", fileobj=file, mtime=self._moment) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=self._plain)  # in the order of names
        return name

    def _plain(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        executable = member.isdir() or member.mode & 0o100
        return member.replace(
            mtime=self._moment, mode=0o755 if executable else 0o644, uid=0, gid=0, uname="", gname="", deep=False
        )


setup(
    cffi_modules=["src/artifactstore/hashing/build.py:kernel", "src/artifactstore/storage/build.py:publisher"],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": StableWheel, "sdist": SameArchive},
)
