"""Bags of others: what bagit-python makes, what RFC 8493 allows, and every way not to match."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import bagit  # type: ignore[import-untyped]  # it has no types
import pytest

from artifactstore.manifests import bags
from artifactstore.manifests.bags import Bag, read_bag
from artifactstore.manifests.containers import open_container
from tests.packages import identity_of_bytes

FILES = {"a.txt": b"alpha", "b/c d.txt": b"gamma", "empty": b""}
DECLARED = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


def read(directory: Path) -> Bag:
    with open_container(directory) as container:
        return read_bag(container)


def findings(directory: Path) -> list[str]:
    return sorted(map(str, read(directory).findings))


def rows(files: Mapping[str, bytes], algorithm: str, prefix: str = "data/") -> str:
    return "".join(f"{hashlib.new(algorithm, data).hexdigest()} {prefix}{name}\n" for name, data in files.items())


def make(directory: Path, *algorithms: str, declared: str = DECLARED, files: Mapping[str, bytes] = FILES) -> Path:
    for name, data in files.items():
        path = directory / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (directory / "bagit.txt").write_bytes(declared.encode())
    for algorithm in algorithms:
        (directory / f"manifest-{algorithm}.txt").write_text(rows(files, algorithm))
    return directory


# bagit.py passes a flag of re.sub as its count
@pytest.mark.filterwarnings("ignore:'count' is passed as positional argument:DeprecationWarning")
@pytest.mark.parametrize("algorithms", [["sha256"], ["sha512"], ["sha256", "sha512"], ["md5", "sha1", "sha512"]])
def test_a_bag_that_another_tool_made_is_read(tmp_path: Path, algorithms: list[str]) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    bagit.make_bag(str(tmp_path), {"Contact-Name": "é", "External-Identifier": "x" * 200}, checksums=algorithms)
    bag = read(tmp_path)
    assert bag.findings == []
    assert bag.payload == {name: identity_of_bytes(data) for name, data in FILES.items()}
    (tmp_path / "data/b/c d.txt").write_bytes(b"gamm!")
    bag = read(tmp_path)
    wrong = " and ".join(f"manifest-{algorithm}.txt" for algorithm in sorted(algorithms))
    assert [str(finding) for finding in bag.findings] == [f"data/b/c d.txt: is not what {wrong} says"]
    assert set(bag.payload) == {"a.txt", "empty"}


@pytest.mark.parametrize(
    "declared",
    [
        DECLARED,
        DECLARED.replace("\n", "\r\n"),
        DECLARED.replace("\n", "\r"),
        DECLARED.rstrip(),
        DECLARED.replace("1.0", "0.97"),
        DECLARED.replace("1.0", "0.93"),
    ],
)
def test_the_declarations_of_a_bag(tmp_path: Path, declared: str) -> None:
    assert findings(make(tmp_path, "sha256", declared=declared)) == []


@pytest.mark.parametrize(
    "declared",
    [
        *("", "\ufeff" + DECLARED, DECLARED + "more\n", DECLARED.replace("1.0", "1.1"), DECLARED.replace("1.0", "0.9")),
        *(DECLARED.replace("UTF-8", "ISO-8859-1"), DECLARED.replace("\n", " \n\n")),
    ],
)
def test_what_declares_no_bag_that_can_be_read(tmp_path: Path, declared: str) -> None:
    bag = read(make(tmp_path, "sha256", declared=declared))
    assert [finding.path for finding in bag.findings] == ["bagit.txt"]
    assert bag.payload == {}


def test_a_bag_has_a_strong_manifest(tmp_path: Path) -> None:
    weak = "there is no manifest of the payload by SHA-256 or SHA-512"
    assert findings(make(tmp_path, "md5", "sha1")) == [weak]
    assert findings(make(tmp_path, "md5", "sha512")) == []
    (tmp_path / "manifest-md5.txt").write_text(rows({**FILES, "a.txt": b"x"}, "md5"))
    assert findings(tmp_path) == ["data/a.txt: is not what manifest-md5.txt says"]


def test_in_version_1_each_manifest_lists_each_file(tmp_path: Path) -> None:
    make(tmp_path, "sha256", "sha512")
    (tmp_path / "manifest-sha512.txt").write_text(rows({"a.txt": b"alpha", "empty": b""}, "sha512"))
    assert findings(tmp_path) == ["data/b/c d.txt: is not listed in manifest-sha512.txt"]
    (tmp_path / "bagit.txt").write_text(DECLARED.replace("1.0", "0.97"))
    assert findings(tmp_path) == []
    (tmp_path / "manifest-sha256.txt").write_text(rows({"a.txt": b"alpha", "empty": b""}, "sha256"))
    assert len(findings(tmp_path)) == 1


def test_what_is_there_and_what_is_listed_are_compared(tmp_path: Path) -> None:
    make(tmp_path, "sha256")
    (tmp_path / "data/a.txt").rename(tmp_path / "data/A.txt")
    assert findings(tmp_path) == [
        "data/A.txt: is not listed in manifest-sha256.txt",
        "data/a.txt: is missing, and manifest-sha256.txt lists it",
    ]


def test_tag_files_are_checked_by_the_tag_manifest(tmp_path: Path) -> None:
    make(tmp_path, "sha256")
    tags = {name: (tmp_path / name).read_bytes() for name in ("bagit.txt", "manifest-sha256.txt")}
    (tmp_path / "tagmanifest-sha512.txt").write_text(rows({**tags, "notes": b"n"}, "sha512", ""))
    assert findings(tmp_path) == ["notes: is missing, and tagmanifest-sha512.txt lists it"]
    (tmp_path / "notes").write_bytes(b"m")
    assert findings(tmp_path) == ["notes: is not what tagmanifest-sha512.txt says"]
    (tmp_path / "notes").write_bytes(b"n")
    assert findings(tmp_path) == []


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ("Payload-Oxum: 10.3\n", []),
        ("Contact-Name: x\n  folded\nPAYLOAD-OXUM:10.3", []),
        ("Source: Payload-Oxum: 1.1\n", []),
        ("Payload-Oxum: 11.3\n", ["bag-info.txt: Payload-Oxum is 11.3, and there is 10.3"]),
        ("Payload-Oxum: 10.2\r\n", ["bag-info.txt: Payload-Oxum is 10.2, and there is 10.3"]),
    ],
)
def test_the_sum_of_a_payload_is_checked(tmp_path: Path, info: str, found: list[str]) -> None:
    make(tmp_path, "sha256")
    (tmp_path / "bag-info.txt").write_bytes(info.encode())
    assert findings(tmp_path) == found


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "line 4 is not a digest and a path"),
        ("00 data/../a", "line 4 is not a digest and a path"),
        ("00 /etc/passwd", "line 4 is not a digest and a path"),
        ("00 bagit.txt", "line 4 is not a digest and a path"),
        ("00 data/a.txt", "lists data/a.txt twice"),
        ("00 data/\udcff".encode("utf-8", "surrogateescape"), "is not UTF-8"),
    ],
)
def test_a_manifest_that_is_none_is_told_so(tmp_path: Path, line: str | bytes, problem: str) -> None:
    make(tmp_path, "sha256")
    with (tmp_path / "manifest-sha256.txt").open("ab") as file:
        file.write(line if isinstance(line, bytes) else line.encode())
    assert f"manifest-sha256.txt: {problem}" in findings(tmp_path)


def test_names_are_escaped_as_their_version_says(tmp_path: Path) -> None:
    files = {"100%": b"x", "%41": b"y", "a\nb": b"z", "line\u2028separator": b"w"}
    make(tmp_path, files=files)
    (tmp_path / "manifest-sha256.txt").write_text(
        "".join(
            f"{hashlib.sha256(data).hexdigest()}\t{bags.encode_path('data/' + name)}\n" for name, data in files.items()
        )
    )
    assert set(read(tmp_path).payload) == set(files)
    assert findings(tmp_path) == []
    del files["a\nb"]
    (tmp_path / "data/a\nb").unlink()
    make(tmp_path, "sha256", declared=DECLARED.replace("1.0", "0.97"), files=files)
    assert findings(tmp_path) == []


def test_digests_may_be_in_upper_case(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "manifest-sha256.txt").write_text(
        "".join(f"{hashlib.sha256(data).hexdigest().upper()}  data/{name}\n" for name, data in FILES.items())
    )
    assert findings(tmp_path) == []


def test_a_payload_file_of_another_size_than_the_caller_knows_is_not_read(tmp_path: Path) -> None:
    make(tmp_path, "sha256")
    read_bytes: list[int] = []
    with open_container(tmp_path, read_bytes.append) as container:
        bag = read_bag(container, sizes={"a.txt": 4, "b/c d.txt": 5})
    assert [str(finding) for finding in bag.findings] == ["data/a.txt: has 5 bytes, and not 4"]
    assert read_bytes.count(5) == 1
