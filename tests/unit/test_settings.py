from __future__ import annotations

from pathlib import Path

import pytest

from artifactstore.domain.errors import ConfigurationError
from artifactstore.settings import Settings


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.load().port == 8000
    (tmp_path / ".env").write_text("ARTIFACTSTORE_PORT=1001\nARTIFACTSTORE_HOST=::1\nOTHER=x\n")
    assert (Settings.load().port, Settings.load().host) == (1001, "::1")
    monkeypatch.setenv("ARTIFACTSTORE_PORT", "1002")
    assert Settings.load().port == 1002
    assert Settings.load(port=1003, host=None).port == 1003


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", "65536"), ("port", "x"), ("workers", "2"), ("log_level", "loud"), ("body_timeout", "0")],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name.upper()):
        Settings.load(**{name: value})


def test_every_variable_of_the_example_file_exists() -> None:
    example = Path(__file__).parents[2] / ".env.example"
    names = {
        line.lstrip("#").partition("=")[0]
        for line in example.read_text().splitlines()
        if line.lstrip("#").startswith("ARTIFACTSTORE_")
    }
    known = {f"ARTIFACTSTORE_{field.upper()}" for field in Settings.model_fields}
    assert names - known == {"ARTIFACTSTORE_KERNEL"}  # the kernel reads its own


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_exposure_needs_a_word(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--insecure"):
        Settings.load(host=host).refuse_exposure()
    Settings.load(host=host, insecure=True).refuse_exposure()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    Settings.load(host=host).refuse_exposure()
