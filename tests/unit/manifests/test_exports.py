"""Exports, read by tools that are not ours: bagit-python, zipfile, tarfile, and JSON by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import bagit  # type: ignore[import-untyped]  # it has no types
import pytest

from artifactstore.domain.manifest import Manifest
from artifactstore.manifests.exports import ExportFormat, export_of
from artifactstore.manifests.identity import identity_of
from tests.packages import FILES, contents_of, exported, opener_of


def unpack(data: bytes, form: ExportFormat, directory: Path) -> None:
    if form is ExportFormat.BAGIT_ZIP:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            opened.extractall(directory)
    else:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened_tar:
            opened_tar.extractall(directory, filter="data")


@pytest.mark.parametrize("form", ExportFormat)
async def test_the_length_is_known_beforehand_and_the_bytes_are_always_the_same(form: ExportFormat) -> None:
    contents = contents_of(FILES)
    export = export_of(Manifest.of(contents), form)
    first = b"".join([chunk async for chunk in export.chunks(opener_of(FILES, 1000))])
    assert len(first) == export.size_bytes
    shuffled = replace(contents, members=contents.members[::-1])
    again = export_of(Manifest.of(shuffled), form)
    assert first == b"".join([chunk async for chunk in again.chunks(opener_of(FILES, 300_000))])


@pytest.mark.parametrize(
    ("form", "sha256"),
    [
        (ExportFormat.BAGIT_ZIP, "2b64a81eda35e7f967cdecadf213da44db2204e62b0d33e68facf130b6659834"),
        (ExportFormat.BAGIT_TAR, "5914037fbabd1bdf2704d6c19cb01254f49a17ff2b0812a088812522a557644d"),
        (ExportFormat.OCI, "0807a065b247dc2241431694d79df004d3c93e4835ae521b2ce11da0f285d185"),
    ],
)
async def test_the_bytes_of_an_export_are_these(form: ExportFormat, sha256: str) -> None:
    assert (
        hashlib.sha256(await exported(FILES, form, label="1.0", media_type="text/plain; charset=utf-8")).hexdigest()
        == sha256
    )


# bagit.py passes a flag of re.sub as its count
@pytest.mark.filterwarnings("ignore:'count' is passed as positional argument:DeprecationWarning")
@pytest.mark.parametrize("form", [ExportFormat.BAGIT_ZIP, ExportFormat.BAGIT_TAR])
async def test_bagit_python_finds_the_bag_valid(form: ExportFormat, tmp_path: Path) -> None:
    manifest = Manifest.of(contents_of(FILES))
    unpack(await exported(FILES, form), form, tmp_path)
    (directory,) = tmp_path.iterdir()
    assert export_of(manifest, form).filename.startswith(directory.name)
    bag = bagit.Bag(str(directory))
    bag.validate()
    assert bag.version_info == (1, 0)
    assert bag.info["External-Identifier"] == str(identity_of(manifest).sha256)
    assert {path.removeprefix("data/") for path in bag.payload_entries()} == set(FILES)
    assert (directory / "package.intoto.json").read_bytes() == manifest.encoded
    for name, data in FILES.items():
        assert (directory / "data" / name).read_bytes() == data
    (directory / "data" / "report.xml").write_bytes(b"<Report/>")
    with pytest.raises(bagit.BagValidationError):
        bagit.Bag(str(directory)).validate()


async def test_a_percent_sign_is_escaped_in_the_manifest_and_not_in_the_path() -> None:
    data = await exported({"100%": b"x", "%0A": b"y"}, ExportFormat.BAGIT_ZIP)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        base = opened.namelist()[0].partition("/")[0]
        assert opened.read(f"{base}/data/100%") == b"x"
        lines = opened.read(f"{base}/manifest-sha256.txt").decode().splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == ["data/%250A", "data/100%25"]


async def test_an_image_layout_is_one_by_the_specification(tmp_path: Path) -> None:
    manifest = Manifest.of(contents_of(FILES, label="1.0", media_type="text/plain; charset=utf-8"))
    data = await exported(FILES, ExportFormat.OCI, label="1.0", media_type="text/plain; charset=utf-8")
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        names = opened.getnames()
    assert len(names) == len(set(names))
    assert names[:2] == ["oci-layout", "index.json"]
    unpack(data, ExportFormat.OCI, tmp_path)
    assert json.loads((tmp_path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((tmp_path / "index.json").read_bytes())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    (described,) = index["manifests"]

    used = set()

    def blob(descriptor: dict[str, object]) -> bytes:
        algorithm, _, digest = str(descriptor["digest"]).partition(":")
        found = (tmp_path / "blobs" / algorithm / digest).read_bytes()
        assert (hashlib.sha256(found).hexdigest(), len(found)) == (digest, descriptor["size"])
        used.add(f"blobs/{algorithm}/{digest}")
        return found

    image = json.loads(blob(described))
    assert described["mediaType"] == image["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert described["artifactType"] == image["artifactType"] == "application/vnd.artifact-store.package.v1"
    assert (image["schemaVersion"], image["config"]["mediaType"]) == (2, "application/vnd.oci.empty.v1+json")
    assert blob(image["config"]) == b"{}"
    assert image["annotations"] == {
        "org.opencontainers.image.title": "default/evidence/run",
        "org.opencontainers.image.version": "1.0",
    }
    statement, *layers = image["layers"]
    assert statement["mediaType"] == "application/vnd.in-toto+json"
    assert "annotations" not in statement
    assert blob(statement) == manifest.encoded
    titles = [layer["annotations"]["org.opencontainers.image.title"] for layer in layers]
    assert titles == [member.name for member in manifest.contents.members]
    assert {layer["mediaType"] for layer in layers} == {"text/plain"}
    assert {title: blob(layer) for title, layer in zip(titles, layers, strict=True)} == FILES
    assert used == set(names[2:])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "application/octet-stream"),
        ("text/html; charset=utf-8", "text/html"),
        ("application/vnd.a+json", "application/vnd.a+json"),
        ("a*/b", "application/octet-stream"),
        ("a/" + "b" * 128, "application/octet-stream"),
    ],
)
async def test_a_descriptor_has_a_media_type_of_rfc_6838(given: str | None, said: str) -> None:
    data = await exported({"a": b"a"}, ExportFormat.OCI, media_type=given)
    assert f'"mediaType":"{said}","size":1}}'.encode() in data
