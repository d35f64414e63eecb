"""File systems of the harness's own: one in memory, and ext4 on an image that can lose its power. Needs root."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: An image's size in MiB: the root's directories take 2, the journal 4.
IMAGE_MIB = 96
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: Path, kind: str, options: str) -> None:
    done = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), 0, options.encode())
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def unmount(target: Path) -> None:
    """Unmount; what is still busy goes when it is free."""
    if _libc.umount2(os.fsencode(target), 0) != 0 and _libc.umount2(os.fsencode(target), 2) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


@contextmanager
def memory(place: Path, options: str = "") -> Iterator[Path]:
    """An empty file system in memory, mounted at `place`."""
    place.mkdir(exist_ok=True)
    _mount("tmpfs", place, "tmpfs", options)
    try:
        yield place
    finally:
        unmount(place)


def grow(place: Path) -> None:
    """Let a file system in memory take what it wants from here on."""
    subprocess.run(["mount", "-o", "remount,size=1g", str(place)], check=True)


def make_image(image: Path, size_mib: int = IMAGE_MIB, *options: str) -> None:
    """An empty ext4 file system in a sparse file."""
    with image.open("wb") as file:
        file.truncate(size_mib * 2**20)
    command = ("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0", *options)
    subprocess.run([*command, str(image)], check=True)


def copy_image(image: Path, target: Path) -> None:
    """A copy of its own, sparse as the image is."""
    subprocess.run(["cp", "--sparse=always", str(image), str(target)], check=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """The file system of an image, mounted at `place`."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        unmount(place)


def copy_tree(source: Path | str, target: Path | str) -> None:
    """What is in `source`, into the directory `target`: names, bytes and modes. A case copies 500 directories."""
    for entry in os.scandir(source):
        copy = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(copy)  # noqa: PTH102 - fast
            os.chmod(copy, entry.stat().st_mode & 0o7777)  # noqa: PTH101
            copy_tree(entry.path, copy)
        else:
            shutil.copy2(entry.path, copy, follow_symlinks=False)


def renew(directory: Path) -> None:
    """An empty directory, whatever was there."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
