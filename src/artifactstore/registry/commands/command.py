"""What commands have in common."""

from __future__ import annotations

from typing import ClassVar


class Plain:
    """The defaults of a command."""

    __slots__ = ()
    frees_space: ClassVar[bool] = False
    tombstones: ClassVar[bool] = False


class Freeing(Plain):
    """A command that is served from the reserve when the disk is full."""

    __slots__ = ()
    frees_space: ClassVar[bool] = True
