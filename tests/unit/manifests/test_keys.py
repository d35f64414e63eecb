from __future__ import annotations

from pathlib import Path

import pytest

from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import ConfigurationError
from artifactstore.manifests.dsse import PublicKey
from artifactstore.manifests.keys import load_keys
from artifactstore.settings import Settings
from tests.conftest import settings_for
from tests.unit.manifests.test_dsse import ED25519, OTHER, P256, pem


def test_keys_of_files_and_of_directories_each_once(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    for name, key in (("a.pem", ED25519), ("b.pem", P256), ("again.pem", ED25519), ("notes.txt", OTHER)):
        (directory / name).write_bytes(pem(key))
    single = tmp_path / "one.key"
    single.write_bytes(pem(OTHER))
    found = load_keys([directory, single])
    assert [key.keyid for key in found] == [PublicKey.load(pem(key)).keyid for key in (ED25519, P256, OTHER)]
    assert load_keys([]) == ()


@pytest.mark.parametrize("content", [b"", b"\xff", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
async def test_a_bad_key_is_named_and_nothing_starts(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"bad\.pem: "):
        load_keys([tmp_path])
    with pytest.raises(ConfigurationError, match=r"bad\.pem: "):
        async with open_local(settings_for(tmp_path / "root", attestation_keys=str(bad))):
            pass
    assert not (tmp_path / "root").exists()


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none cannot be read: No such file"):
        load_keys([tmp_path / "none"])
    with pytest.raises(ConfigurationError, match="no key"):
        load_keys([tmp_path])


def test_paths_are_separated_by_colons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACTSTORE_ATTESTATION_KEYS", "/a b/keys::relative.pem")
    assert Settings.load(_env_file=None).attestation_keys == (Path("/a b/keys"), Path("relative.pem"))
