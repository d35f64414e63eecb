"""What the gateway answers to the cases of `framing.py`: everything that may come, by case.

A case that is not here is refused: one 400. Where there are two ways, it depends on what came together: a request whose
end could not be told from what followed is the last, and what was broken in the same segment spoils what stood before.
"""

from __future__ import annotations

type Answers = tuple[int, ...]

_REFUSED: tuple[Answers, ...] = ((400,),)
_FIFTY: Answers = (200,) * 50

_ANSWERS: dict[tuple[Answers, ...], tuple[str, ...]] = {
    ((507,),): (
        "length: 2^63",
        "large: a terabyte of which nothing comes",
    ),
    ((201, 201),): (
        "length: white space around",
        "length: no space",
        "length: leading zero",
        "length: of the canary, none",
        "length: none",
        "pipeline: an upload, the canary",
        "pipeline: an empty line between",
        "pipeline: a body that was not asked for",
        "large: the canary before it",
        "large: a byte less than large",
    ),
    ((201,),): (
        "length: covers the canary",
        "chunk: extension of 20,000 bytes",
        "chunk: a thousand extensions",
        "chunk: holds the canary",
        "chunk: the last has zeros",
        "chunk: the last has an extension",
        "chunk: one byte each",
        "trailer: a field",
        "trailer: a token",
        "trailer: a kind",
        "trailer: twice what the next has once",
        "large: whole",
        "large: the canary behind it",
        "large: a byte behind it",
        "large: two",
        "large: the canary within it",
        "large: the canary at its begin",
        "large: the canary fills it up, and is cut",
        "large: asked for, and there at once",
        "large: that closes",
        "large: of HTTP/1.0",
        "large: that upgrades",
        "large: chunked",
    ),
    ((415,),): (
        "coding: identity, chunked",
        "coding: gzip, chunked",
        "coding: comma before",
        "large: refused by its coding",
    ),
    ((201, 400), (400,)): ("pipeline: a byte too many",),
    ((201,), (201, 201)): (
        "coding: mixed case",
        "coding: tab",
        "chunk: leading zeros",
        "chunk: twenty zeros",
        "chunk: extension",
        "chunk: extension, quoted",
        "chunk: nothing but the last",
    ),
    ((200,),): (
        "lines: LF before",
        "lines: CR before",
        "lines: CRLF before",
        "lines: many CRLF before",
        "lines: Unicode line separator",
        "lines: next line, 0x85",
        "field: high byte in a value",
        "field: empty value",
        "field: a range of a thousand",
        "line: HTTP/1.0",
        "line: two spaces",
        "line: absolute",
        "line: absolute, of another host",
        "large: of a read",
    ),
    ((200, 201),): (
        "lines: LF before, then the canary",
        "lines: CR before, then the canary",
        "lines: CRLF before, then the canary",
        "lines: many CRLF before, then the canary",
        "lines: Unicode line separator, then the canary",
        "lines: next line, 0x85, then the canary",
        "pipeline: a read, the canary",
        "pipeline: a head, the canary",
        "large: a read before it",
    ),
    ((431,),): (
        "field: a hundred thousand bytes",
        "field: a thousand of them",
        "trailer: twenty thousand of them",
    ),
    ((404,),): (
        "line: fragment",
        "line: two slashes",
        "line: asterisk",
        "line: authority",
        "pipeline: after a refused expectation",
        "body of GET: a length",
        "body of GET: chunked",
        "body of HEAD: a length",
        "body of HEAD: chunked",
        "body of DELETE: a length",
        "body of DELETE: chunked",
        "large: to nowhere",
    ),
    ((414,),): ("line: twenty thousand bytes",),
    ((404,), (404, 201)): (
        "line: CONNECT, then the canary",
        "pipeline: after a refusal of a chunked body",
    ),
    ((201,), (400,)): (
        "trailer: a host",
        "pipeline: after a close of an upload",
    ),
    ((),): (
        "end: nothing",
        "end: a byte",
        "end: in the method",
        "end: in the target",
        "end: after the line",
        "end: in a field",
        "end: before the last LF",
        "large: one byte is missing",
        "large: nothing of it",
    ),
    ((200, 200),): ("pipeline: two reads",),
    (_FIFTY,): ("pipeline: fifty reads",),
    ((200,), (400,)): (
        "pipeline: after a close",
        "pipeline: after HTTP/1.0",
    ),
    ((200,), (200, 201)): (
        "pipeline: after an upgrade",
        "pipeline: after h2c",
        "pipeline: after h2c, an upload that holds the canary",
    ),
    ((201,), (201, 201), (400,)): ("pipeline: after an upgrade of an upload",),
    ((417,),): ("pipeline: after an unknown expectation",),
    ((415, 201),): ("pipeline: after a refused coding",),
    ((404, 201),): (
        "pipeline: after a refusal",
        "body of GET: then the canary",
        "body of HEAD: then the canary",
        "body of DELETE: then the canary",
    ),
    ((405,),): (
        "body of OPTIONS: a length",
        "body of OPTIONS: chunked",
        "body of TRACE: a length",
        "body of TRACE: chunked",
        "body of TRACE: then the canary",
    ),
    ((405, 201),): ("body of OPTIONS: then the canary",),
    ((422,),): ("large: of another digest",),
}

_BY_CASE = {name: answers for answers, names in _ANSWERS.items() for name in names}


def answers_to(name: str) -> tuple[Answers, ...]:
    """The statuses that may come back, one sequence or the other; an empty one is a close without an answer."""
    return _BY_CASE.get(name, _REFUSED)
