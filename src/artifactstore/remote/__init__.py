"""The library's face over a server: the HTTP API, version 1, as an `ArtifactStore`."""

from artifactstore.remote.store import RemoteStore

__all__ = ["RemoteStore"]
