"""artifact-store: a generic artifact registry and storage gateway.

async with artifactstore.open("./var") as store:
    artifact, created = await store.put_file("default", "reports/today.txt", b"hello")
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.domain.ranges import ByteRange

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from artifactstore.spi import ArtifactStore

__version__ = version("artifact-store")

__all__ = [
    "Algorithm",
    "Artifact",
    "ArtifactMetadata",
    "ArtifactStoreError",
    "ByteRange",
    "Digest",
    "ObjectIdentity",
    "__version__",
    "open",
]


def open(
    root_or_url: str | Path, *, read_only: bool = False, token: str | None = None
) -> AbstractAsyncContextManager[ArtifactStore]:
    """The store over a local root (a directory, made if it is not there) or over a server (`http://...`).

    `token` is what the server is shown.

    With `read_only`, a local root is read beside the process that writes it, and nothing is recorded. Errors on
    entering: RootLockedError, RootFormatError, SchemaTooNewError, RemoteError.
    """
    # Imported here, so that `import artifactstore` for its words alone does not load a database and an HTTP client.
    from artifactstore.bootstrap import open_store

    return open_store(root_or_url, read_only=read_only, token=token)
