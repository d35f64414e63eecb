"""Builds the native kernel; everything else is in pyproject.toml."""

from __future__ import annotations

from setuptools import setup

setup(cffi_modules=["src/artifactstore/hashing/build.py:kernel"])
