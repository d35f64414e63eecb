"""Builds the native kernel; everything else is in pyproject.toml."""

from __future__ import annotations

import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError


class BuildKernel(build_ext):
    """setuptools refuses assembly; where there is no assembler for it, the kernel is built without."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # objects that are up to date may have been built under the other setting of the switch

    def build_extension(self, ext: Extension) -> None:
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


setup(
    cffi_modules=["src/artifactstore/hashing/build.py:kernel", "src/artifactstore/storage/build.py:publisher"],
    cmdclass={"build_ext": BuildKernel, "bdist_wheel": StableWheel},
)
