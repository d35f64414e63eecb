"""Log lines: one line of text, or one JSON object a line, that names the request it was written for.

What a stranger sent can stand in a message, so no control character goes out as it is. Nothing here looks at headers:
a credential never comes near a line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from artifactstore.tracing import SCOPE

LogFormat = Literal["text", "json"]

#: The attribute of a record that holds facts of its own, a JSON object's members.
FACTS = "facts"
# C0, DEL, C1, the line and paragraph separators, the marks that reorder text, halves of surrogate pairs
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """One line that cannot move a terminal's cursor, nor pass for two."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class TextFormatter(logging.Formatter):
    """For people. The lines of a traceback are indented, so that none of them can pass for a line of the log."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback if there is one."""
        scope = SCOPE.get()
        request = f" [{scope.request_id}]" if scope is not None and scope.request_id else ""
        line = f"{_time(record)} {record.levelname} {record.name}: {escaped(record.getMessage())}{request}"
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            line += "".join(f"\n    {escaped(part)}" for part in traceback.split("\n"))
        return line


class JsonFormatter(logging.Formatter):
    """For machines: one object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        members: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (scope := SCOPE.get()) is not None:
            if scope.request_id is not None:
                members["request_id"] = scope.request_id
            members["trace_id"], members["span_id"] = scope.trace.trace_id, scope.trace.span_id
        members.update(getattr(record, FACTS, ()))
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps(members)


def configure(level: str, form: LogFormat, stream: TextIO | None = None) -> None:
    """Let the process log at this level and above, in this form, to standard error or `stream`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the registry says in one line what was migrated
