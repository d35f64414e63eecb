from __future__ import annotations

from pathlib import Path

import pytest

from artifactstore.domain.manifest import Manifest
from artifactstore.manifests.exports import ExportFormat
from artifactstore.manifests.identity import identity_of
from tests.packages import FILES, contents_of, exported
from tests.unit.cli.conftest import Cli


@pytest.fixture(params=ExportFormat)
async def package(request: pytest.FixtureRequest, work: Path) -> Path:
    path = work / "package"
    path.write_bytes(await exported(FILES, request.param))
    return path


def test_a_whole_package_is_said_to_be_so(cli: Cli, package: Path) -> None:
    identity = identity_of(Manifest.of(contents_of(FILES)))
    ran = cli("package", "verify", package).succeeded()
    assert ran.out == f"ok {identity.sha256} {identity.blake3} default/evidence/run, {len(FILES)} members\n"
    (document,) = cli("package", "verify", "--json", package).succeeded().documents
    assert document == {
        "verified": True,
        "form": document["form"],
        "manifest": {
            "blake3": str(identity.blake3),
            "sha256": str(identity.sha256),
            "size_bytes": identity.size_bytes,
        },
        "namespace": "default",
        "name": "evidence/run",
        "members": len(FILES),
        "findings": [],
    }
    assert not Path("var").exists()


def test_what_is_wrong_is_one_line_each_and_status_1(cli: Cli, package: Path) -> None:
    data = package.read_bytes()
    package.write_bytes(data.replace(b"<report/>", b"<rep\xffrt/>").replace(b"deep", b"DEEP"))
    ran = cli("package", "verify", package)
    assert "is not the package that its manifest describes" in ran.failed()
    assert "report.xml: " in ran.out
    assert "e" * 130 in ran.out
    ran = cli("package", "verify", package, "--json")
    ran.failed()
    (document,) = ran.documents
    assert document["verified"] is False
    assert {"path", "problem"} == set(document["findings"][0])


def test_what_is_no_package_is_one_line(cli: Cli, work: Path) -> None:
    (work / "x").write_bytes(b"hello")
    assert "neither a zip nor an uncompressed tar archive" in cli("package", "verify", "x").failed()
    assert "neither a bag" in cli("package", "verify", ".").failed()
    assert "does not exist" in cli("package", "verify", "missing").failed(2)
