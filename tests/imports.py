"""What a Python source imports, however it is written: for tests of who may know whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

_DYNAMIC = frozenset({"import_module", "__import__"})


@dataclass(frozen=True)
class Import:
    """A module that a source names in an import, absolute, and where."""

    module: str
    line: int


def reaches(item: Import, forbidden: Sequence[str]) -> bool:
    """Whether an import names one of these modules, something in it, or everything of a package that holds it."""
    for module in forbidden:
        if item.module == module or item.module.startswith(f"{module}."):
            return True
        if item.module == f"{module.rpartition('.')[0]}.*":
            return True
    return False


def imports_of(source: str, file: Path) -> list[Import]:
    """Every import of a source file, whose path is relative to the directory of its top package."""
    package = ".".join(file.parent.parts)
    tree = ast.parse(source)
    called = _DYNAMIC | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in _DYNAMIC and alias.asname
    }
    found: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            found += [Import(name, node.lineno) for name in _names(node, package, called)]
    return found


def _names(node: ast.Import | ast.ImportFrom | ast.Call, package: str, called: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif _called(node.func) in called:
        yield from _dynamic(node, package)


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _dynamic(node: ast.Call, package: str) -> Iterator[str]:
    """The strings of a call that imports: one may be the package that the others are relative to."""
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    texts = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    bases = [text for text in texts if not text.startswith(".")] or [package]
    for text in texts:
        yield from (resolve_name(text, base) for base in bases) if text.startswith(".") else (text,)
