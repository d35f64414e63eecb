"""A change of the sources that a harness must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "artifactstore"


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old`, which stands once in `file`, becomes `new`; `cases` are arguments of `python -m tests.crash`.

    `file`: of the package, or of the project where it begins with `native/`; then the publisher is compiled anew.
    """

    name: str
    file: str
    old: str
    new: str
    cases: str
    equivalent: str | None = None  # why nothing can turn red

    @property
    def native(self) -> bool:
        """Whether it changes what is compiled."""
        return self.file.startswith("native/")

    def apply(self, sources: Path) -> None:
        """Change a copy of the sources, beside which `native` is. ValueError: the text is not there just once."""
        path = sources.parent / self.file if self.native else sources / PACKAGE / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has the text {text.count(self.old)} times")
        path.write_text(text.replace(self.old, self.new))
