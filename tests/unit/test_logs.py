from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.logs import FACTS, JsonFormatter, LogFormat, TextFormatter, configure, escaped
from artifactstore.tracing import SCOPE, Scope

FORGED = "name\r\n2026-01-01T00:00:00.000000Z ERROR root: forged \x1b[2J\u2028\u202e"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, restored afterwards."""
    logger = logging.getLogger()
    handlers, level, alembic = logger.handlers[:], logger.level, logging.getLogger("alembic").level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.getLogger("alembic").setLevel(alembic)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("some.part").makeRecord(
        "some.part", logging.WARNING, "file", 1, message, arguments, None, extra=extra
    )


def test_a_line_of_json_says_when_where_and_what() -> None:
    line = json.loads(JsonFormatter().format(record("%d of %s", 2, FORGED)))
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "logger": "some.part", "message": f"2 of {FORGED}"}


def test_lines_name_the_request_they_are_of() -> None:
    token = SCOPE.set(scope := Scope("some-id", None))
    try:
        line = json.loads(JsonFormatter().format(record("x")))
        assert (line["request_id"], line["trace_id"], line["span_id"]) == (
            "some-id",
            scope.trace.trace_id,
            scope.trace.span_id,
        )
        assert TextFormatter().format(record("x")).endswith(" WARNING some.part: x [some-id]")
    finally:
        SCOPE.reset(token)


def test_facts_are_members() -> None:
    line = json.loads(JsonFormatter().format(record("x", **{FACTS: {"status": 200}})))
    assert line["status"] == 200


@given(st.text())
def test_whatever_a_message_holds_it_is_one_line(text: str) -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record("%s", text))
        assert len(line.splitlines()) == 1
        assert line.encode()  # no half of a surrogate pair, which no stream takes
    assert json.loads(JsonFormatter().format(record("%s", text)))["message"] == text


def test_control_characters_are_escaped() -> None:
    assert escaped(FORGED) == r"name\r\n2026-01-01T00:00:00.000000Z ERROR root: forged \x1b[2J\u2028\u202e"
    assert escaped("Grüße, 世界 \\n") == "Grüße, 世界 \\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_cannot_forge_a_line(form: LogFormat, root: logging.Logger) -> None:
    stream = io.StringIO()
    configure("info", form, stream)
    try:
        raise ValueError(FORGED)
    except ValueError:
        root.exception("it failed")
    lines = stream.getvalue().splitlines()
    if form == "json":
        (line,) = lines
        assert "forged" in json.loads(line)["traceback"]
    else:
        assert "it failed" in lines[0]
        assert len(lines) > 2
        assert all(line.startswith("    ") for line in lines[1:])


def test_lines_below_the_level_are_not_written(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure("warning", "text", stream)
    root.info("no")
    root.warning("yes")
    assert stream.getvalue().count("\n") == 1
