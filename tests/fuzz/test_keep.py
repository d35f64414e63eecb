"""What is kept of what fuzzing found: what gets further, and that once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import keep


def test_what_gets_further_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, found = tmp_path / "corpus", tmp_path / "found"
    monkeypatch.setattr(keep, "CORPUS", corpus)
    monkeypatch.setattr(keep, "FOUND", found)
    for directory in (corpus, found):
        (directory / "traceparent").mkdir(parents=True)
    (corpus / "traceparent" / "short").write_bytes(b"00")
    whole = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for number, data in enumerate(
        (b"01", whole, whole[:-1] + b"3")
    ):  # as far as what is there, further, as far as that
        (found / "traceparent" / str(number)).write_bytes(data)
    assert keep.keep("traceparent") == 1
    assert sorted(path.read_bytes() for path in (corpus / "traceparent").iterdir()) == [b"00", whole]
    assert keep.keep("traceparent") == 0
