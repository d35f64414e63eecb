"""Packages as OCI image layouts (image-spec 1.1): an image manifest with an artifact type, and a layer for each member.

The first layer is the statement, without a title; the others are the members in the statement's order, under their
names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from artifactstore.domain import bounded_json
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import InvalidPackageError
from artifactstore.domain.manifest import MAX_MANIFEST_BYTES, Manifest
from artifactstore.domain.manifest import MEDIA_TYPE as STATEMENT_MEDIA_TYPE
from artifactstore.domain.names import DEFAULT_MEDIA_TYPE, MAX_NAME_BYTES
from artifactstore.domain.package import MAX_MEMBERS
from artifactstore.manifests.archives import Entry
from artifactstore.manifests.containers import Container

ARTIFACT_TYPE = "application/vnd.artifact-store.package.v1"
LAYOUT_FILE = "oci-layout"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"
INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
EMPTY = b"{}"
_EMPTY_MEDIA_TYPE = "application/vnd.oci.empty.v1+json"

# RFC 6838, 4.2: what a descriptor may say; parameters and rarer characters are in the statement only
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_PLAIN_MEDIA_TYPE = re.compile(rf"({_NAME}/{_NAME})[ \t]*(?:;|\Z)")


def entries(manifest: Manifest) -> list[Entry]:
    """The files of the layout, descriptions first; what has the same digest is there once."""
    image = rfc8785.dumps(_image(manifest))
    image_descriptor = _descriptor(MANIFEST_MEDIA_TYPE, hashlib.sha256(image).hexdigest(), len(image))
    index = rfc8785.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_MEDIA_TYPE,
            "manifests": [{**image_descriptor, "artifactType": ARTIFACT_TYPE}],
        }
    )
    blobs: dict[str, Entry] = {}
    for data in (image, EMPTY, manifest.encoded):
        path = blob_path(hashlib.sha256(data).hexdigest())
        blobs.setdefault(path, Entry(path, data))
    for member in manifest.contents.members:
        path = blob_path(member.identity.sha256.hex)
        blobs.setdefault(path, Entry(path, member))
    return [Entry(LAYOUT_FILE, LAYOUT), Entry(INDEX_FILE, index), *blobs.values()]


@dataclass(frozen=True, slots=True)
class Blob:
    """What a descriptor says of a blob."""

    sha256: Digest
    size_bytes: int

    @property
    def path(self) -> str:
        """Where it lies in the layout."""
        return blob_path(self.sha256.hex)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the descriptions of a layout say."""

    statement: bytes
    titled: Mapping[str, Blob]  # the members' blobs by the names that the layers have
    described: frozenset[str]  # the paths of all files that something in the layout leads to


def read_layout(container: Container, base: str = "") -> Layout:
    """Read a package's layout as far as the statement; InvalidPackageError says what is none, and in which file."""
    _read(container, base + LAYOUT_FILE, "imageLayoutVersion")["imageLayoutVersion"].constant("1.0.0")
    (described,) = _read(container, base + INDEX_FILE, "manifests")["manifests"].items(least=1, most=1)
    image_blob = _blob(described)
    image = _read(container, base + image_blob.path, "artifactType", "config", "layers", blob=image_blob)
    image["artifactType"].constant(ARTIFACT_TYPE)
    config = _blob(image["config"])
    if _bytes(container, base + config.path, config) != EMPTY:
        raise image["config"].fault("the config of a package's image is the empty one")
    first, *others = image["layers"].items(least=2, most=MAX_MEMBERS + 1)
    statement = _blob(first)
    titled: dict[str, Blob] = {}
    for node in others:
        title = node.members(("annotations",))["annotations"].members((TITLE,))[TITLE]
        name = title.text(most_bytes=MAX_NAME_BYTES)
        if name in titled:
            raise title.fault(f"{name} stands twice")
        titled[name] = _blob(node)
    paths = {LAYOUT_FILE, INDEX_FILE, *(blob.path for blob in (image_blob, config, statement, *titled.values()))}
    return Layout(_bytes(container, base + statement.path, statement), titled, frozenset(paths))


def _read(container: Container, path: str, *required: str, blob: Blob | None = None) -> dict[str, Node]:
    data = _bytes(container, path, blob)
    root = bounded_json.read(data, InvalidPackageError, most_bytes=MAX_MANIFEST_BYTES, what=path, path=path)
    return root.members(required)


def _bytes(container: Container, path: str, blob: Blob | None) -> bytes:
    data = container.read(path, MAX_MANIFEST_BYTES)
    if blob is not None and (len(data) != blob.size_bytes or hashlib.sha256(data).digest() != blob.sha256.value):
        raise InvalidPackageError("is not what its descriptor says", field=path)
    return data


def _blob(node: Node) -> Blob:
    members = node.members(("digest", "size"))
    digest = members["digest"].checked(Digest.parse)
    if digest.algorithm is not Algorithm.SHA256:
        raise members["digest"].fault("a descriptor's digest is by sha256")
    return Blob(digest, members["size"].integer())


def blob_path(sha256_hex: str) -> str:
    """Where a blob lies."""
    return f"blobs/sha256/{sha256_hex}"


def _image(manifest: Manifest) -> dict[str, Any]:
    contents = manifest.contents
    statement = _descriptor(STATEMENT_MEDIA_TYPE, hashlib.sha256(manifest.encoded).hexdigest(), len(manifest.encoded))
    layers = [statement]
    for member in contents.members:
        identity = member.identity
        layer = _descriptor(_media_type(member.media_type), identity.sha256.hex, identity.size_bytes)
        layers.append({**layer, "annotations": {TITLE: member.name}})
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {
            **_descriptor(_EMPTY_MEDIA_TYPE, hashlib.sha256(EMPTY).hexdigest(), len(EMPTY)),
            "data": "e30=",
        },
        "layers": layers,
        "annotations": {
            TITLE: f"{contents.namespace}/{contents.name}",
            **({} if contents.label is None else {VERSION: contents.label}),
        },
    }


def _descriptor(media_type: str, sha256_hex: str, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256_hex}", "size": size_bytes}


def _media_type(given: str | None) -> str:
    match = _PLAIN_MEDIA_TYPE.match(given or "")
    return match[1] if match else DEFAULT_MEDIA_TYPE
