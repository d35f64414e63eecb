from __future__ import annotations

from pathlib import Path

import pytest

from artifactstore.domain.errors import ConfigurationError, InvalidInputError
from artifactstore.domain.usage import Quota
from artifactstore.settings import Settings


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.load().port == 8000
    (tmp_path / ".env").write_text("ARTIFACTSTORE_PORT=1001\nARTIFACTSTORE_HOST=::1\nOTHER=x\n")
    assert (Settings.load().port, Settings.load().host) == (1001, "::1")
    monkeypatch.setenv("ARTIFACTSTORE_PORT", "1002")
    assert Settings.load().port == 1002
    assert Settings.load(port=1003, host=None).port == 1003


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "SERVER", "MAX_OBJECT_BYTES"):
        monkeypatch.setenv(f"ARTIFACTSTORE_{name}", "")
    settings = Settings.load()
    assert (settings.port, settings.server, settings.max_object_bytes) == (8000, None, None)


def test_a_file_that_is_not_text_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"ARTIFACTSTORE_HOST=\xff\n")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        Settings.load()


@pytest.mark.parametrize("where", ["flag", "variable", "file"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "x"),
        ("workers", "257"),
        ("log_level", "loud"),
        ("body_timeout", "0"),
        ("quotas", '{"A": {}}'),
        ("quotas", "{"),
        ("log_reserve_bytes", "4194303"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(
    name: str, value: str, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {}
    if where == "flag":
        flags = {name: value}
    elif where == "variable":
        monkeypatch.setenv(f"ARTIFACTSTORE_{name.upper()}", value)
    else:
        (tmp_path / ".env").write_text(f"ARTIFACTSTORE_{name.upper()}={value}\n")
    kind, named = (InvalidInputError, name) if flags else (ConfigurationError, f"ARTIFACTSTORE_{name.upper()}")
    with pytest.raises(kind, match=f"^{named}: ") as caught:
        Settings.load(**flags)
    assert "\n" not in str(caught.value)


def test_every_variable_of_the_example_file_exists() -> None:
    example = Path(__file__).parents[2] / ".env.example"
    names = {
        line.lstrip("#").partition("=")[0]
        for line in example.read_text().splitlines()
        if line.lstrip("#").startswith("ARTIFACTSTORE_")
    }
    known = {f"ARTIFACTSTORE_{field.upper()}" for field in Settings.model_fields}
    assert names - known == {"ARTIFACTSTORE_KERNEL"}  # the kernel reads its own


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "192.0.2.1", "fe80::1", "example.org", "localhost.example.org"]
)
def test_exposure_needs_a_word(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--insecure"):
        Settings.load(host=host, tokens="off").refuse_exposure()
    Settings.load(host=host, insecure=True).refuse_exposure()
    assert Settings.load(host=host).require_tokens, "so that it may"
    Settings.load(host=host).refuse_exposure()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    Settings.load(host=host).refuse_exposure()
    assert not Settings.load(host=host).require_tokens
    assert Settings.load(host=host, tokens="required").require_tokens


def test_quotas_are_by_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACTSTORE_QUOTAS", '{"a": {"bytes": 5}, "b": {}, "*": {"objects": 2}}')
    quotas = Settings.load().namespace_quotas
    assert quotas.of("a") == Quota(size_bytes=5)
    assert quotas.of("b") == Quota(), "one of its own, without a limit"
    assert quotas.of("c") == Quota(objects=2)
    assert Settings.load(quotas={}).namespace_quotas.of("c") is None
