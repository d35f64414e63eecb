"""Exports checked as a stranger would have them: sound, damaged, and made to do harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifactstore.domain.errors import InvalidPackageError
from artifactstore.domain.manifest import Manifest
from artifactstore.manifests import archived
from artifactstore.manifests.containers import open_container
from artifactstore.manifests.exports import ExportFormat
from artifactstore.manifests.identity import identity_of
from artifactstore.manifests.verification import Report, verify_export
from tests.packages import FILES, contents_of, exported

SMALL = {"a.txt": b"alpha", "b/c.txt": b"gamma", "same": b"alpha"}


@pytest.fixture
async def bag(tmp_path: Path) -> Path:
    """A package's bag as a directory."""
    return await unpacked(tmp_path, ExportFormat.BAGIT_TAR)


@pytest.fixture
async def layout(tmp_path: Path) -> Path:
    """A package's image layout as a directory."""
    return await unpacked(tmp_path, ExportFormat.OCI)


async def unpacked(tmp_path: Path, form: ExportFormat) -> Path:
    directory = tmp_path / "unpacked"
    with tarfile.open(fileobj=io.BytesIO(await exported(SMALL, form))) as opened:
        opened.extractall(directory, filter="data")
    return directory if form is ExportFormat.OCI else next(directory.iterdir())


def findings(path: Path) -> list[str]:
    return sorted(map(str, verify_export(path).findings))


def write_tar(
    path: Path, directory: Path, change: Callable[[tarfile.TarInfo], tarfile.TarInfo | None] = lambda x: x
) -> Path:
    with tarfile.open(path, "w") as made:
        made.add(directory, directory.name, filter=change)
    return path


def write_zip(path: Path, directory: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for file in sorted(directory.rglob("*")):
            made.write(file, file.relative_to(directory.parent))
    return path


# --- what is sound ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ExportFormat)
async def test_an_export_is_found_whole(form: ExportFormat, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(await exported(FILES, form))
    read = 0

    def progress(size: int) -> None:
        nonlocal read
        read += size

    report = verify_export(path, progress)
    assert report.findings == []
    assert report.manifest == Manifest.of(contents_of(FILES))
    assert report.manifest_identity == identity_of(Manifest.of(contents_of(FILES)))
    assert report.form == ("oci" if form is ExportFormat.OCI else "bagit")
    assert sum(map(len, FILES.values())) <= read <= path.stat().st_size + 10_000


def test_a_bag_that_was_unpacked_and_packed_anew_is_whole(bag: Path, tmp_path: Path) -> None:
    assert findings(bag) == []
    assert findings(bag.parent) == []
    assert findings(write_zip(tmp_path / "again.zip", bag)) == []
    assert findings(write_tar(tmp_path / "again.tar", bag)) == []
    with tarfile.open(tmp_path / "dot.tar", "w") as made:
        made.add(bag, ".")
    assert findings(tmp_path / "dot.tar") == []


def test_a_layout_that_was_unpacked_and_packed_anew_is_whole(layout: Path, tmp_path: Path) -> None:
    assert findings(layout) == []
    assert findings(write_zip(tmp_path / "again.zip", layout)) == []
    with tarfile.open(tmp_path / "again.tar", "w") as made:
        made.add(layout, ".")
    assert findings(tmp_path / "again.tar") == []


# --- what is damaged ----------------------------------------------------------------------------------------------


def test_a_changed_member_of_a_bag_is_named(bag: Path, tmp_path: Path) -> None:
    (bag / "data/b/c.txt").write_bytes(b"gamm!")
    wrong = ["data/b/c.txt: is not what manifest-sha256.txt says"]
    assert findings(bag) == wrong
    assert findings(write_zip(tmp_path / "x", bag)) == wrong
    assert findings(write_tar(tmp_path / "x", bag)) == wrong


def rewrite_manifests(bag: Path) -> None:
    """Make the bag's own manifests say what is there."""
    for name, prefix in (("manifest-sha256.txt", "data/"), ("tagmanifest-sha256.txt", "")):
        rows = [line.split("  ", 1)[1] for line in (bag / name).read_text().splitlines()]
        digests = {row: hashlib.sha256((bag / row).read_bytes()).hexdigest() for row in rows if row.startswith(prefix)}
        (bag / name).write_text("".join(f"{digest}  {row}\n" for row, digest in digests.items()))


def test_a_bag_whose_own_manifests_were_made_to_fit_is_not_the_package(bag: Path) -> None:
    (bag / "data/b/c.txt").write_bytes(b"gamm!")
    rewrite_manifests(bag)
    assert findings(bag) == ["data/b/c.txt: is not what the package's manifest says"]


def test_a_member_of_another_size_is_named_and_not_read(bag: Path) -> None:
    (bag / "data/b/c.txt").write_bytes(b"longer")
    read: list[int] = []
    report = verify_export(bag, read.append)
    assert "data/b/c.txt: has 6 bytes, and not 5" in map(str, report.findings)
    assert read.count(6) == 0


def test_what_is_missing_from_a_bag_is_named(bag: Path) -> None:
    (bag / "data/b/c.txt").unlink()
    assert findings(bag) == [
        "bag-info.txt: Payload-Oxum is 15.3, and there is 10.2",
        "data/b/c.txt: is missing, and manifest-sha256.txt lists it",
    ]


def test_what_nothing_lists_is_named(bag: Path, tmp_path: Path) -> None:
    (bag / "data/extra").write_bytes(b"")
    (bag / "notes.txt").write_bytes(b"")
    found = findings(bag)
    assert "data/extra: is not listed in manifest-sha256.txt" in found
    assert "notes.txt: is not listed" in found
    shutil.copytree(bag, tmp_path / "two" / bag.name)
    (tmp_path / "two" / "beside").write_bytes(b"")
    assert "beside: lies beside the package" in findings(tmp_path / "two")


@pytest.mark.parametrize("name", ["bag-info.txt", "bagit.txt", "manifest-sha256.txt", "package.intoto.json"])
def test_a_changed_tag_file_is_named(bag: Path, name: str) -> None:
    with (bag / name).open("ab") as file:
        file.write(b"\n")
    assert any(line.startswith((f"{name}: ", "the package's manifest: ")) for line in findings(bag))


@pytest.mark.parametrize("name", ["tagmanifest-sha256.txt", "manifest-sha256.txt", "package.intoto.json"])
def test_a_bag_without_one_of_its_tag_files_is_no_export(bag: Path, name: str) -> None:
    (bag / name).unlink()
    assert findings(bag)


def test_a_manifest_that_is_not_canonical_names_no_package(bag: Path) -> None:
    statement = json.loads((bag / "package.intoto.json").read_bytes())
    (bag / "package.intoto.json").write_text(json.dumps(statement))
    rewrite_manifests(bag)
    report = verify_export(bag)
    assert report.manifest is None
    assert report.manifest_identity is None
    assert "canonical" in str(report.findings)


def blob_of(data: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def test_what_is_wrong_in_a_layout_is_named(layout: Path) -> None:
    gamma, alpha = blob_of(b"gamma"), blob_of(b"alpha")
    (layout / gamma).write_bytes(b"gamm!")
    assert findings(layout) == ["b/c.txt: is not what the package's manifest says"]
    (layout / gamma).write_bytes(b"longer")
    assert findings(layout) == [f"{gamma}: (b/c.txt) has 6 bytes, and not 5"]
    (layout / gamma).unlink()
    assert findings(layout) == [f"{gamma}: (b/c.txt) is missing"]
    (layout / gamma).write_bytes(b"gamma")
    (layout / alpha).unlink()
    assert findings(layout) == [f"{alpha}: (a.txt) is missing"]
    (layout / alpha).write_bytes(b"alpha")
    (layout / "blobs/sha256/extra").write_bytes(b"")
    assert findings(layout) == ["blobs/sha256/extra: is not listed"]


def edit_layout(layout: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the image manifest, and make its descriptor fit."""
    index = json.loads((layout / "index.json").read_bytes())
    (descriptor,) = index["manifests"]
    old = layout / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")
    image = json.loads(old.read_bytes())
    edit(image)
    old.unlink()
    data = rfc8785.dumps(image)
    (layout / blob_of(data)).write_bytes(data)
    descriptor.update(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
    (layout / "index.json").write_text(json.dumps(index))


TITLE = "org.opencontainers.image.title"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda x: None, []),
        (lambda x: x["layers"].pop(1), ["a.txt: has no layer"]),
        (lambda x: x["layers"][1]["annotations"].update({TITLE: "z"}), ["a.txt: has no layer", "z: has a layer"]),
        (lambda x: x["layers"][1].update(size=6), ["a.txt: has a layer that is not"]),
        (lambda x: x["layers"][1]["annotations"].update({TITLE: "same"}), ["twice"]),
        (lambda x: x["layers"][1].pop("annotations"), ["annotations is missing"]),
        (lambda x: x["layers"][1].update(digest="sha512:" + "0" * 128), ["layers[1].digest"]),
        (lambda x: x.update(artifactType="application/x"), ["artifactType"]),
        (lambda x: x.pop("config"), ["config is missing"]),
        (lambda x: x["layers"].pop(0), ["the package's manifest"]),
    ],
)  # fmt: skip
def test_descriptors_that_say_something_else_are_named(
    layout: Path,
    edit: Callable[[dict[str, Any]], None],
    found: list[str],
) -> None:
    edit_layout(layout, edit)
    lines = findings(layout)
    assert bool(lines) == bool(found)
    for text in found:
        assert any(text in line for line in lines), lines


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"imageLayoutVersion": "2.0.0"}', b'{"manifests": []}'])
def test_descriptions_that_are_none_are_named(layout: Path, name: str, data: bytes) -> None:
    (layout / name).write_bytes(data)
    (line,) = [line for line in findings(layout) if line.startswith(name)]
    assert line


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=st.sampled_from([ExportFormat.BAGIT_TAR, ExportFormat.BAGIT_ZIP, ExportFormat.OCI]))
async def test_no_bit_of_a_member_can_change_unseen(tmp_path: Path, data: st.DataObject, form: ExportFormat) -> None:
    whole = await exported(SMALL, form)
    name = data.draw(st.sampled_from(sorted(SMALL)))
    # where the member's bytes lie
    start = whole.rindex(SMALL[name])
    changed = bytearray(whole)
    changed[start + data.draw(st.integers(0, len(SMALL[name]) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "changed"
    path.write_bytes(changed)
    assert verify_export(path).findings


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), form=st.sampled_from(ExportFormat))
async def test_any_damage_is_found_or_refused_and_never_a_surprise(
    tmp_path: Path, data: st.DataObject, form: ExportFormat
) -> None:
    changed = bytearray(await exported(SMALL, form))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(changed)))
    path = tmp_path / "changed"
    path.write_bytes(changed[:cut])
    try:
        report = verify_export(path)
    except InvalidPackageError:
        return
    assert isinstance(report, Report)
    if not report.findings:  # a time or an owner, which say nothing
        assert report.manifest == Manifest.of(contents_of(SMALL))


# --- what is hostile ----------------------------------------------------------------------------------------------


def add_to_tar(path: Path, info: tarfile.TarInfo, data: bytes = b"") -> None:
    info.size = len(data)
    with tarfile.open(path, "a") as made:
        made.addfile(info, io.BytesIO(data))


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (tar_info("/etc/passwd"), "not a relative path"),
        (tar_info("BAG/../../evil"), "not a relative path"),
        (tar_info("BAG/./data/x"), "not a relative path"),
        (tar_info("../evil", tarfile.DIRTYPE), "not a relative path"),
        (tar_info("BAG/data/link", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (tar_info("BAG/data/link", tarfile.LNKTYPE, "BAG/data/a.txt"), "is a link"),
        (tar_info("BAG/data/pipe", tarfile.FIFOTYPE), "is not a plain file"),
        (tar_info("BAG/data/device", tarfile.CHRTYPE), "is not a plain file"),
        (tar_info("BAG/data/a.txt"), "is there twice"),
        (tar_info("BAG/data/A.txt"), "is not listed"),
    ],
)
def test_a_tar_archive_that_leads_elsewhere_is_told_so(
    bag: Path, tmp_path: Path, info: tarfile.TarInfo, problem: str
) -> None:
    path = write_tar(tmp_path / "x.tar", bag)
    info.name = info.name.replace("BAG", bag.name)
    add_to_tar(path, info)
    assert any(problem in line for line in findings(path))


def test_what_follows_the_end_of_a_tar_archive_is_told(bag: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", bag)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(512) + tarfile.TarInfo("hidden").tobuf())
    assert any("something after the last file" in line for line in findings(path))
    os.truncate(path, size)
    assert findings(path) == []


def test_a_tar_archive_that_is_cut_off_is_told(bag: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", bag)
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in (*range(0, end, 700), end, end + 512):
        path.write_bytes(whole[:size])
        try:
            assert findings(path)
        except InvalidPackageError:
            continue


def test_a_sparse_file_is_no_plain_file(bag: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", bag)
    info = tar_info(f"{bag.name}/data/sparse")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": info.name}
    info.pax_headers |= {"GNU.sparse.size": str(2**50), "GNU.sparse.map": "0,0"}
    with tarfile.open(path, "a", format=tarfile.PAX_FORMAT) as made:
        made.addfile(info)
    assert any("sparse: is not a plain file" in line for line in findings(path))


def test_a_header_of_any_length_is_not_taken_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    info = tar_info("././@PaxHeader", tarfile.XHDTYPE)
    info.size = 2**32
    with path.open("wb") as file:
        file.write(info.tobuf())
        file.truncate(2**32 + 4096)
    with pytest.raises(InvalidPackageError, match="a header or a directory has more than"):
        verify_export(path)


def test_a_directory_of_any_length_is_not_taken_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    size = 2**30
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, size - 4, 4, 0))
    with pytest.raises(InvalidPackageError, match="a header or a directory has more than"):
        verify_export(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidPackageError, match="neither a file nor a directory"):
        verify_export(tmp_path / "pipe")


def test_a_path_cannot_speak_to_a_terminal(bag: Path) -> None:
    (bag / "data/\x1b[2J\n\u202eok").write_bytes(b"")
    assert findings(bag)[1] == r"data/\x1b[2J\n\u202eok: is not listed in manifest-sha256.txt"


@pytest.mark.parametrize("form", ExportFormat)
async def test_a_member_may_be_named_as_the_files_of_a_bag_or_layout_are(form: ExportFormat, tmp_path: Path) -> None:
    files = dict.fromkeys(("bagit.txt", "oci-layout", "index.json", "package.intoto.json", "manifest-sha256.txt"), b"")
    files["data/bagit.txt"] = b"x"
    (tmp_path / "package").write_bytes(await exported(files, form))
    assert findings(tmp_path / "package") == []
    if form is not ExportFormat.OCI:
        with open_container(tmp_path / "package") as container:
            for path in container.sizes:
                file = tmp_path / "unpacked" / path.partition("/")[2]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(container.read(path, 10_000))
        assert findings(tmp_path / "unpacked") == []


def zip_with(path: Path, bag: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    write_zip(path, bag)
    with zipfile.ZipFile(path, "a") as made, warnings.catch_warnings(action="ignore"):
        for name, data in entries:
            made.writestr(name, data)
    return path


def zip_info(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.create_system = 3
    return info


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (zip_info("/etc/passwd"), "not a relative path"),
        (zip_info("BAG/../../evil"), "not a relative path"),
        (zip_info("../evil/", 0o40755), "not a relative path"),
        (zip_info("BAG/data/link", 0o120777), "is a symbolic link"),
        (zip_info("BAG/data/pipe", 0o010644), "neither a file nor a directory"),
        (zip_info("BAG/data/directory/"), "is a directory with content"),
        (zip_info("BAG/data/a.txt"), "is there twice"),
        (zip_info("BAG/data/a\\..\\x"), "is not listed"),
    ],
)
def test_a_zip_archive_that_leads_elsewhere_is_told_so(
    bag: Path, tmp_path: Path, info: zipfile.ZipInfo, problem: str
) -> None:
    info.filename = info.filename.replace("BAG", bag.name)
    info.orig_filename = info.filename
    path = zip_with(tmp_path / "x.zip", bag, (info, b"" if info.filename.startswith("..") else b"x"))
    assert any(problem in line for line in findings(path)), findings(path)


def lying_zip(path: Path, bag: Path, data: bytes, said: bytes, compression: int) -> Path:
    """A bag whose a.txt is `data`, and which says of it what would be right of `said`."""
    (bag / "data/a.txt").unlink()
    write_zip(path, bag)
    with zipfile.ZipFile(path, "a", compression) as made:
        info = zip_info(f"{bag.name}/data/a.txt")
        info.compress_type = compression
        made.writestr(info, data)
        info.file_size, info.CRC = len(said), zlib.crc32(said)
        if compression == zipfile.ZIP_STORED:
            info.compress_size = len(data)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(("data", "than"), [(b"alpha and more", "longer"), (b"alph", "shorter")])
def test_an_entry_that_lies_about_its_size_is_told_so(
    bag: Path, tmp_path: Path, compression: int, data: bytes, than: str
) -> None:
    path = lying_zip(tmp_path / "x.zip", bag, data, b"alpha", compression)
    assert findings(path) == [f"data/a.txt: is {than} than the archive says"]


def test_an_entry_that_grows_is_read_no_further_than_its_size(
    bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lying_zip(tmp_path / "x.zip", bag, bytes(2**26), b"alpha", zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(archived, "READ_BYTES", 4096)
    read = 0

    def progress(size: int) -> None:
        nonlocal read
        read += size

    assert "longer" in str(verify_export(path, progress).findings)
    assert read < 20_000


def test_an_entry_that_says_its_size_and_is_a_bomb_is_not_read(bag: Path, tmp_path: Path) -> None:
    (bag / "data/a.txt").write_bytes(bytes(2**26))
    path = write_zip(tmp_path / "x.zip", bag)
    read = 0

    def progress(size: int) -> None:
        nonlocal read
        read += size

    report = verify_export(path, progress)
    assert f"data/a.txt: has {2**26} bytes, and not 5" in map(str, report.findings)
    assert read < 20_000


def test_a_checksum_that_is_wrong_is_told(bag: Path, tmp_path: Path) -> None:
    path = lying_zip(tmp_path / "x.zip", bag, b"alpha", b"alphA", zipfile.ZIP_DEFLATED)
    assert findings(path) == ["data/a.txt: does not have the CRC-32 that the archive says"]


def test_one_file_under_two_entries_is_told(bag: Path, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", bag)
    with zipfile.ZipFile(path, "a") as made:
        made.filelist.append(made.getinfo(f"{bag.name}/data/a.txt"))
        made._didModify = True  # type: ignore[attr-defined]  # so that its directory is written anew
    assert any("is one file under two names" in line for line in findings(path))


@pytest.mark.parametrize("flag", [0x1, 0x40])
def test_an_encrypted_entry_is_told(bag: Path, tmp_path: Path, flag: int) -> None:
    path = write_zip(tmp_path / "x.zip", bag)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= flag
    path.write_bytes(data)
    assert findings(path)


def test_a_compression_that_is_not_common_is_told(bag: Path, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", bag, zipfile.ZIP_LZMA)
    with pytest.raises(InvalidPackageError, match="neither a bag"):
        verify_export(path)


def test_something_before_a_zip_archive_is_told(bag: Path, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", bag)
    path.write_bytes(b"PK\3\4 and another archive" + path.read_bytes())
    assert any("something before the first file" in line for line in findings(path))


def test_links_in_a_directory_are_not_followed(bag: Path) -> None:
    (bag / "data/a.txt").unlink()
    (bag / "data/a.txt").symlink_to("same")
    (bag / "data/d").symlink_to("/")
    os.mkfifo(bag / "data/pipe")
    lines = findings(bag)
    for path in ("data/a.txt", "data/d"):
        assert f"{path}: is a symbolic link" in {line.removeprefix(f"{bag.name}/") for line in lines}
    assert any("pipe: is neither a file nor a directory" in line for line in lines)


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"hello" * 1000, bytes(10240), b"\x1f\x8b" + bytes(600)])
def test_what_is_no_package_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(InvalidPackageError):
        verify_export(path)
    with pytest.raises(InvalidPackageError, match="neither a bag"):
        verify_export(tmp_path)


def test_two_packages_in_one_are_none(bag: Path, tmp_path: Path) -> None:
    shutil.copytree(bag, bag.parent / "second")
    with pytest.raises(InvalidPackageError, match="more than one"):
        verify_export(bag.parent)
