"""A package as one file that others read: a bag in a zip or tar archive, or an OCI image layout in a tar archive.

    export = export_of(manifest, ExportFormat.BAGIT_ZIP)
    export.size_bytes                   # before a byte of a member is read
    async for chunk in export.chunks(opener): ...

Nothing is copied on the way. The same package gives the same file every time (docs/package-format.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from artifactstore.domain.manifest import Manifest
from artifactstore.manifests import bags, layouts
from artifactstore.manifests.archives import Entry, Format, Opener, TarFormat, archive_chunks, archive_size
from artifactstore.manifests.identity import identity_of
from artifactstore.manifests.zip_format import ZipFormat


class ExportFormat(StrEnum):
    """The forms that a package is exported in."""

    BAGIT_ZIP = "bagit-zip"
    BAGIT_TAR = "bagit-tar"
    OCI = "oci"


@dataclass(frozen=True, slots=True)
class Export:
    """A package as a file, before it is read."""

    filename: str
    media_type: str
    size_bytes: int
    entries: tuple[Entry, ...]
    form: Format

    def chunks(self, opener: Opener) -> AsyncIterator[bytes]:
        """The file's bytes, `size_bytes` of them; memory is bounded by the opener's pieces and the tag files.

        ObjectDamagedError in mid-stream for a member whose bytes are not those that were sealed.
        """
        return archive_chunks(self.form, self.entries, opener)


def export_of(manifest: Manifest, form: ExportFormat) -> Export:
    """How a package is exported in that form."""
    # 64 bits of a digest: a name to tell files apart, not one to trust
    name = f"package-{identity_of(manifest).sha256.hex[:16]}"
    match form:
        case ExportFormat.BAGIT_ZIP:
            return _export(f"{name}.zip", "application/zip", bags.entries(manifest, name), ZipFormat)
        case ExportFormat.BAGIT_TAR:
            return _export(f"{name}.tar", "application/x-tar", bags.entries(manifest, name), TarFormat)
        case ExportFormat.OCI:
            return _export(f"{name}.oci.tar", "application/x-tar", layouts.entries(manifest), TarFormat)


def _export(filename: str, media_type: str, entries: list[Entry], form: Format) -> Export:
    return Export(filename, media_type, archive_size(form, entries), tuple(entries), form)
