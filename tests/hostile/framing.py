"""What hostile clients write: bytes whose meaning as HTTP/1.1 senders and receivers have disagreed on.

Each case is the whole of what a connection carries before its end. The request within it that must not be found is a
`PUT` of the name `canary`: it is stored if, and only if, somebody took it for a request. What the gateway
owes to each is in `expected.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SEED = "/v1/files/default/seed"  # is stored before the first case
UPLOAD = "/v1/files/default/upload"
CANARY_NAME = "canary"
LARGE = 2**20  # from here on bodies are received past the parser

CANARY = f"PUT /v1/files/default/{CANARY_NAME} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nbird!!".encode()
GET = b"GET " + SEED.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
PUT = b"PUT " + UPLOAD.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ALL = b"6\r\nabcdef\r\n0\r\n\r\n"  # a whole chunked body


@dataclass(frozen=True, slots=True)
class Case:
    """What a connection carries. `requests`: how many it is at most; one that is refused counts."""

    name: str
    data: bytes
    requests: int = 1
    canary: bool = False  # whether the canary is a request of its own, honestly written


def renamed(data: bytes, number: int) -> tuple[str, bytes]:
    """The same bytes with a canary of another name, of the same length; its name first."""
    name = f"{number:0{len(CANARY_NAME)}d}"
    return name, data.replace(f"/{CANARY_NAME} ".encode(), f"/{name} ".encode())


def cases() -> list[Case]:
    """All of them, each name once."""
    found = [
        *_lengths(),
        *_codings(),
        *_length_and_coding(),
        *_line_ends(),
        *_fields(),
        *_request_lines(),
        *_chunks(),
        *_trailers(),
        *_early_ends(),
        *_pipelines(),
        *_bodies_where_none_belongs(),
        *_large_bodies(),
    ]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return found


def _lengths() -> Iterator[Case]:
    values = {
        "plus": b"+6",
        "minus": b"-6",
        "hexadecimal": b"0x6",
        "semicolon": b"6;",
        "list of equals": b"6, 6",
        "list of unequals": b"6, 7",
        "list without a space": b"6,6",
        "fraction": b"6.0",
        "exponent": b"6e0",
        "empty": b"",
        "underscore": b"1_0",
        "arabic digit": "٦".encode(),
        "two words": b"6 6",
        "quoted": b'"6"',
        "vertical tab": b"6\x0b",
        "form feed before": b"\x0c6",
        "NUL after": b"6\x00",
        "no-break space": b"\xa06",
        "letter": b"six",
        "2^63": b"9223372036854775808",
        "2^64 and 6": b"18446744073709551622",
        "forty digits": b"1" + b"0" * 39,
    }
    for name, value in values.items():
        yield Case(f"length: {name}", PUT + b"Content-Length: " + value + b"\r\n\r\nabcdef" + CANARY, 2)
    yield Case("length: white space around", PUT + b"Content-Length: \t 6 \t\r\n\r\nabcdef" + CANARY, 2, canary=True)
    yield Case("length: no space", PUT + b"Content-Length:6\r\n\r\nabcdef" + CANARY, 2, canary=True)
    yield Case("length: leading zero", PUT + b"Content-Length: 06\r\n\r\nabcdef" + CANARY, 2, canary=True)
    for name, second in {"equal": b"6", "unequal": b"0", "empty": b"", "longer": b"%d" % (6 + len(CANARY))}.items():
        twice = b"Content-Length: 6\r\nContent-Length: " + second + b"\r\n\r\nabcdef"
        yield Case(f"length: twice, {name}", PUT + twice + CANARY, 2)
        turned = b"Content-Length: " + second + b"\r\nContent-Length: 6\r\n\r\nabcdef"
        yield Case(f"length: twice, {name}, turned", PUT + turned + CANARY, 2)
    yield Case("length: with a space before the colon", PUT + b"Content-Length : 6\r\n\r\nabcdef" + CANARY, 2)
    yield Case("length: with an underscore", PUT + b"Content_Length: 6\r\n\r\nabcdef" + CANARY, 2)
    yield Case("length: with an underscore, none", PUT + b"Content_Length: 0\r\n\r\n" + CANARY, 2)
    yield Case("length: folded", PUT + b"Content-Length:\r\n 6\r\n\r\nabcdef" + CANARY, 2)
    yield Case("length: of the canary, none", PUT + b"Content-Length: 0\r\n\r\n" + CANARY, 2, canary=True)
    yield Case("length: covers the canary", PUT + b"Content-Length: %d\r\n\r\n" % len(CANARY) + CANARY)
    yield Case("length: none", PUT + b"\r\n" + CANARY, 2, canary=True)


def _codings() -> Iterator[Case]:
    values = {
        "unknown": b"xchunked",
        "chunked not last": b"chunked, identity",
        "identity": b"identity",
        "identity, chunked": b"identity, chunked",
        "gzip, chunked": b"gzip, chunked",
        "gzip": b"gzip",
        "vertical tab": b"\x0bchunked",
        "NUL before": b"\x00chunked",
        "NUL after": b"chunked\x00",
        "parameter": b"chunked;q=1",
        "quoted": b'"chunked"',
        "twice in one": b"chunked, chunked",
        "two words": b"chunked chunked",
        "comma before": b", chunked",
        "comma after": b"chunked,",
        "empty": b"",
        "no-break space": b"\xa0chunked",
        "kelvin sign": "chun\u212aed".encode(),
        "cut": b"chunke",
    }
    for name, value in values.items():
        yield Case(f"coding: {name}", PUT + b"Transfer-Encoding: " + value + b"\r\n\r\n" + ALL + CANARY, 2)
    fields = {
        "space before the colon": b"Transfer-Encoding : chunked",
        "tab before the colon": b"Transfer-Encoding\t: chunked",
        "underscore": b"Transfer_Encoding: chunked",
        "folded": b"Transfer-Encoding:\r\n chunked",
        "folded by LF": b"Transfer-Encoding:\n chunked",
        "indented": b" Transfer-Encoding: chunked",
        "hidden in another by CR": b"X: y\rTransfer-Encoding: chunked",
        "hidden in another by LF": b"X: y\nTransfer-Encoding: chunked",
        "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "chunked then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "identity then chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "NUL in the name": b"Transfer-Encoding\x00: chunked",
        "no-break space in the name": b"Transfer-Encoding\xa0: chunked",
    }
    for name, field in fields.items():
        yield Case(f"coding: {name}", PUT + field + b"\r\n\r\n" + ALL + CANARY, 2)
    for name, field in {
        "mixed case": b"tRANSFER-eNCODING: cHUNKED",
        "tab": b"Transfer-Encoding:\tchunked",
        "white space after": b"Transfer-Encoding: chunked \t",
    }.items():
        yield Case(f"coding: {name}", PUT + field + b"\r\n\r\n" + ALL + CANARY, 2, canary=True)
    old = b"PUT " + UPLOAD.encode() + b" HTTP/1.0\r\nHost: localhost\r\n"
    yield Case("coding: of HTTP/1.0", old + CHUNKED + b"\r\n" + ALL + CANARY)
    yield Case("coding: of HTTP/1.0 that stays", old + b"Connection: keep-alive\r\n" + CHUNKED + b"\r\n" + ALL + CANARY)


def _length_and_coding() -> Iterator[Case]:
    short, long = b"Content-Length: 4\r\n", b"Content-Length: %d\r\n" % (len(ALL) + len(CANARY))
    ends = b"0\r\n\r\n"
    for name, length, body in (
        ("the coding is shorter", b"Content-Length: %d\r\n" % (len(ends) + len(CANARY)), ends + CANARY),
        ("the length is shorter", short, b"%x\r\n" % len(CANARY) + CANARY + b"\r\n0\r\n\r\n"),
        ("both are the same", b"Content-Length: %d\r\n" % len(ALL), ALL + CANARY),
        ("the length is longer", long, ALL + CANARY),
        ("the length is large", b"Content-Length: %d\r\n" % LARGE, ALL + CANARY),
    ):
        yield Case(f"both: {name}", PUT + length + CHUNKED + b"\r\n" + body, 2)
        yield Case(f"both: {name}, turned", PUT + CHUNKED + length + b"\r\n" + body, 2)
    for name, coding in (
        ("an unknown coding", b"Transfer-Encoding: xchunked\r\n"),
        ("an empty coding", b"Transfer-Encoding:\r\n"),
        ("a hidden coding", b"X: y\rTransfer-Encoding: chunked\r\n"),
        ("a coding with a space", b"Transfer-Encoding : chunked\r\n"),
        ("a folded coding", b"X: y\r\n Transfer-Encoding: chunked\r\n"),
        ("identity", b"Transfer-Encoding: identity\r\n"),
    ):
        yield Case(f"both: {name}", PUT + coding + b"Content-Length: 5\r\n\r\n" + ends + CANARY, 2)


def _line_ends() -> Iterator[Case]:
    line, host = b"GET " + SEED.encode() + b" HTTP/1.1", b"Host: localhost"
    endings = {
        "LF alone": line + b"\n" + host + b"\n\n",
        "LF after the line": line + b"\n" + host + b"\r\n\r\n",
        "LF after a field": line + b"\r\n" + host + b"\nX: y\r\n\r\n",
        "LF at the end": line + b"\r\n" + host + b"\r\n\n",
        "CR alone": line + b"\r" + host + b"\r\r",
        "CR CR LF": line + b"\r\r\n" + host + b"\r\r\n\r\r\n",
        "LF CR": line + b"\n\r" + host + b"\n\r\n\r",
        "CR in a value": line + b"\r\n" + host + b"\r\nX: a\rb\r\n\r\n",
        "CR in a name": line + b"\r\n" + host + b"\r\nX\ra: b\r\n\r\n",
        "CR before the end": line + b"\r\n" + host + b"\r\n\r\r\n",
        "LF before": b"\n" + line + b"\r\n" + host + b"\r\n\r\n",
        "CR before": b"\r" + line + b"\r\n" + host + b"\r\n\r\n",
        "CRLF before": b"\r\n" + line + b"\r\n" + host + b"\r\n\r\n",
        "many CRLF before": b"\r\n" * 40 + line + b"\r\n" + host + b"\r\n\r\n",
        "space before": b" " + line + b"\r\n" + host + b"\r\n\r\n",
        "NUL before": b"\x00" + line + b"\r\n" + host + b"\r\n\r\n",
        "Unicode line separator": line + b"\r\n" + host + b"\r\nX: y\xe2\x80\xa8Z: y\r\n\r\n",
        "next line, 0x85": line + b"\r\n" + host + b"\r\nX: y\x85Z: y\r\n\r\n",
    }
    for name, data in endings.items():
        yield Case(f"lines: {name}", data)
        yield Case(f"lines: {name}, then the canary", data + CANARY, 2, canary=True)


def _fields() -> Iterator[Case]:
    fields = {
        "no colon": b"nonsense",
        "no name": b": x",
        "space in the name": b"a b: x",
        "space before the colon": b"X : y",
        "parenthesis in the name": b"a(b): x",
        "at in the name": b"a@b: x",
        "high byte in the name": b"a\xe9b: x",
        "high byte in a value": b"X: \xe9\xff",
        "NUL in a name": b"a\x00b: x",
        "NUL in a value": b"X: a\x00b",
        "bell in a value": b"X: a\x07b",
        "escape in a value": b"X: \x1b[2J",
        "DEL in a value": b"X: a\x7fb",
        "folded": b"X: a\r\n b",
        "folded by a tab": b"X: a\r\n\tb",
        "folded into nothing": b"X: a\r\n ",
        "a second host": b"Host: other",
        "the same host again": b"Host: localhost",
        "empty value": b"X:",
        "a request line": b"GET / HTTP/1.1",
    }
    for name, field in fields.items():
        yield Case(f"field: {name}", GET + field + b"\r\n\r\n")
    line = b"GET " + SEED.encode() + b" HTTP/1.1\r\n"
    yield Case("field: first is folded", line + b" Host: localhost\r\n\r\n")
    yield Case("field: host is missing", line + b"\r\n")
    yield Case("field: host is empty", line + b"Host:\r\n\r\n")
    yield Case("field: host has a path", line + b"Host: a/b\r\n\r\n")
    yield Case("field: host has a space", line + b"Host: a b\r\n\r\n")
    yield Case("field: host has an account", line + b"Host: a@b\r\n\r\n")
    yield Case("field: host of an open bracket", line + b"Host: [::1\r\n\r\n")
    yield Case("field: a hundred thousand bytes", GET + b"X: " + b"a" * 200_000 + b"\r\n\r\n")
    yield Case("field: a thousand of them", GET + b"X: y\r\n" * 1000 + b"\r\n")
    yield Case("field: a range of a thousand", GET + b"Range: bytes=" + b",".join([b"0-0"] * 1000) + b"\r\n\r\n")


def _request_lines() -> Iterator[Case]:
    seed, host = SEED.encode(), b"\r\nHost: localhost\r\n\r\n"
    lines = {
        "HTTP/1.0": b"GET " + seed + b" HTTP/1.0",
        "HTTP/1.2": b"GET " + seed + b" HTTP/1.2",
        "HTTP/2.0": b"GET " + seed + b" HTTP/2.0",
        "HTTP/0.9": b"GET " + seed + b" HTTP/0.9",
        "no version": b"GET " + seed,
        "lower-case version": b"GET " + seed + b" http/1.1",
        "version with a tail": b"GET " + seed + b" HTTP/1.1x",
        "version without a dot": b"GET " + seed + b" HTTP/11",
        "version of two digits": b"GET " + seed + b" HTTP/1.10",
        "two versions": b"GET " + seed + b" HTTP/1.1 HTTP/1.1",
        "another protocol": b"GET " + seed + b" ICE/1.0",
        "two spaces": b"GET  " + seed + b" HTTP/1.1",
        "tab": b"GET\t" + seed + b"\tHTTP/1.1",
        "space at the end": b"GET " + seed + b" HTTP/1.1 ",
        "space in the target": b"GET " + seed + b" x HTTP/1.1",
        "no target": b"GET HTTP/1.1",
        "empty": b" ",
        "lower-case method": b"get " + seed + b" HTTP/1.1",
        "unknown method": b"FETCH " + seed + b" HTTP/1.1",
        "method with a slash": b"G/T " + seed + b" HTTP/1.1",
        "long method": b"G" * 5000 + b" " + seed + b" HTTP/1.1",
        "NUL in the target": b"GET " + seed + b"\x00 HTTP/1.1",
        "high byte in the target": b"GET " + seed + b"\xff HTTP/1.1",
        "control in the target": b"GET " + seed + b"\x01 HTTP/1.1",
        "CR in the target": b"GET " + seed + b"\r HTTP/1.1",
        "fragment": b"GET " + seed + b"#x HTTP/1.1",
        "absolute": b"GET http://localhost" + seed + b" HTTP/1.1",
        "absolute, of another host": b"GET http://other" + seed + b" HTTP/1.1",
        "absolute, an open bracket": b"GET http://[::1" + seed + b" HTTP/1.1",
        "absolute, a port that is none": b"GET http://localhost:port" + seed + b" HTTP/1.1",
        "absolute, a port too high": b"GET http://localhost:99999" + seed + b" HTTP/1.1",
        "absolute, nothing": b"GET http:// HTTP/1.1",
        "absolute, a file": b"GET file:///etc/passwd HTTP/1.1",
        "two slashes": b"GET //" + seed + b" HTTP/1.1",
        "backslashes": b"GET \\v1\\files\\default\\seed HTTP/1.1",
        "asterisk": b"OPTIONS * HTTP/1.1",
        "asterisk of GET": b"GET * HTTP/1.1",
        "authority": b"CONNECT localhost:80 HTTP/1.1",
        "relative": b"GET v1/files/default/seed HTTP/1.1",
        "broken escape": b"GET " + seed + b"%zz HTTP/1.1",
        "NUL escaped": b"GET " + seed + b"%00 HTTP/1.1",
        "CRLF escaped": b"GET " + seed + b"%0d%0aX:%20y HTTP/1.1",
        "dots": b"GET /v1/files/default/../../../../etc/passwd HTTP/1.1",
        "dots escaped": b"GET /v1/files/default/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
        "overlong dots": b"GET /v1/files/default/%c0%ae%c0%ae/x HTTP/1.1",
        "twenty thousand bytes": b"GET /" + b"a" * 20_000 + b" HTTP/1.1",
    }
    for name, line in lines.items():
        yield Case(f"line: {name}", line + host)
    yield Case("line: HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield Case("line: TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(64)) + CANARY)
    yield Case("line: CONNECT, then the canary", b"CONNECT localhost:80 HTTP/1.1" + host + CANARY, 2, canary=True)
    yield Case("line: HTTP/0.9, then the canary", b"GET " + seed + b"\r\n\r\n" + CANARY)


def _chunks() -> Iterator[Case]:
    head = PUT + CHUNKED + b"\r\n"
    sizes = {
        "hexadecimal sign": b"0x6",
        "plus": b"+6",
        "minus": b"-6",
        "space before": b" 6",
        "space after": b"6 ",
        "tab after": b"6\t",
        "empty": b"",
        "no digit": b"g",
        "underscore": b"0_6",
        "2^64 and 6": b"10000000000000006",
        "2^64 - 1": b"ffffffffffffffff",
        "NUL after": b"6\x00",
        "fraction": b"6.0",
        "extension with NUL": b"6;a=\x00",
        "extension with CR": b"6;a=\rb",
        "extension quoted over lines": b'6;a="\r\nx"',
        "comma": b"6,6",
    }
    for name, size in sizes.items():
        yield Case(f"chunk: {name}", head + size + b"\r\nabcdef\r\n0\r\n\r\n" + CANARY, 2)
    for name, size in {
        "leading zeros": b"0000006",
        "twenty zeros": b"0" * 19 + b"6",
        "extension": b"6;a=b",
        "extension, quoted": b'6;a="b;c"',
        "extension, empty": b"6;",
        "extension, with spaces": b"6 ; a = b",
    }.items():
        yield Case(f"chunk: {name}", head + size + b"\r\nabcdef\r\n0\r\n\r\n" + CANARY, 2, canary=True)
    yield Case("chunk: extension of 20,000 bytes", head + b"6;" + b"a" * 20_000 + b"\r\nabcdef\r\n0\r\n\r\n")
    yield Case("chunk: a thousand extensions", head + b"1;aaaaaaaaaaaaaaaa\r\nx\r\n" * 1000 + b"0\r\n\r\n")
    broken = {
        "LF after the size": b"6\nabcdef\r\n0\r\n\r\n",
        "LF after the data": b"6\r\nabcdef\n0\r\n\r\n",
        "LF after the last": b"6\r\nabcdef\r\n0\n\r\n",
        "LF at the end": b"6\r\nabcdef\r\n0\r\n\n",
        "LF alone": b"6\nabcdef\n0\n\n",
        "CR alone": b"6\rabcdef\r0\r\r",
        "CR after the size twice": b"6\r\r\nabcdef\r\n0\r\n\r\n",
        "LF in an extension": b"6;a\nabcdef\r\n0\r\n\r\n",
        "nothing after the data": b"6\r\nabcdef0\r\n\r\n",
        "two bytes that are no line end": b"6\r\nabcdefXX0\r\n\r\n",
        "data longer than its size": b"5\r\nabcdef\r\n0\r\n\r\n",
        "data shorter than its size": b"7\r\nabcdef\r\n0\r\n\r\n",
        "an empty line before": b"\r\n6\r\nabcdef\r\n0\r\n\r\n",
    }
    for name, body in broken.items():
        yield Case(f"chunk: {name}", head + body + CANARY, 2)
    yield Case("chunk: holds the canary", head + b"%x\r\n" % len(CANARY) + CANARY + b"\r\n0\r\n\r\n")
    yield Case("chunk: the last has zeros", head + b"6\r\nabcdef\r\n00000\r\n\r\n" + CANARY, 2, canary=True)
    yield Case("chunk: the last has an extension", head + b"6\r\nabcdef\r\n0;a=b\r\n\r\n" + CANARY, 2, canary=True)
    yield Case("chunk: nothing but the last", head + b"0\r\n\r\n" + CANARY, 2, canary=True)
    yield Case("chunk: one byte each", head + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n" + CANARY, 2, canary=True)


def _trailers() -> Iterator[Case]:
    head = PUT + CHUNKED + b"\r\n6\r\nabcdef\r\n0\r\n"
    for name, trailer in {
        "a field": b"X: y\r\n",
        "a length": b"Content-Length: 100\r\n",
        "a coding": b"Transfer-Encoding: chunked\r\n",
        "a host": b"Host: other\r\n",
        "a token": b"Authorization: Bearer x\r\n",
        "a kind": b"Artifact-Kind: NO\r\n",
    }.items():
        yield Case(f"trailer: {name}", head + trailer + b"\r\n" + CANARY, 2, canary=True)
    for name, trailer in {
        "no colon": b"nonsense\r\n",
        "folded": b"X: y\r\n z\r\n",
        "LF": b"X: y\n",
        "NUL": b"X: \x00\r\n",
        "space before the colon": b"X : y\r\n",
        "200,000 bytes": b"X: " + b"a" * 200_000 + b"\r\n",
        "twenty thousand of them": b"X: y\r\n" * 20_000,
    }.items():
        yield Case(f"trailer: {name}", head + trailer + b"\r\n" + CANARY, 2)
    marked = CANARY.replace(b"\r\n\r\n", b"\r\nArtifact-Kind: mine\r\n\r\n")
    yield Case(
        "trailer: twice what the next has once", head + b"Artifact-Kind: theirs\r\n\r\n" + marked, 2, canary=True
    )
    yield Case("trailer: is the canary", head + CANARY, 2)
    yield Case("trailer: has no end", head + b"X: y\r\n")


def _early_ends() -> Iterator[Case]:
    whole = PUT + b"Content-Length: 6\r\n\r\nabcdef"
    for name, count in {
        "nothing": 0,
        "a byte": 1,
        "in the method": 2,
        "in the target": 10,
        "after the line": whole.index(b"\r\n") + 2,
        "in a field": whole.index(b"Content") + 9,
        "before the last LF": whole.index(b"\r\n\r\n") + 3,
        "after the head": whole.index(b"\r\n\r\n") + 4,
        "in the body": len(whole) - 1,
    }.items():
        yield Case(f"end: {name}", whole[:count])
    chunked = PUT + CHUNKED + b"\r\n"
    for name, body in {
        "before a chunk": b"",
        "in a size": b"6",
        "after a size": b"6\r\n",
        "in a chunk": b"6\r\nabc",
        "after a chunk": b"6\r\nabcdef\r\n",
        "in the last size": b"6\r\nabcdef\r\n0",
        "after the last size": b"6\r\nabcdef\r\n0\r\n",
        "before the very last LF": b"6\r\nabcdef\r\n0\r\n\r",
    }.items():
        yield Case(f"end: {name}", chunked + body)


def _pipelines() -> Iterator[Case]:
    get, put = GET + b"\r\n", PUT + b"Content-Length: 6\r\n\r\nabcdef"
    yield Case("pipeline: two reads", get + get, 2)
    yield Case("pipeline: fifty reads", get * 50, 50)
    yield Case("pipeline: a read, the canary", get + CANARY, 2, canary=True)
    yield Case("pipeline: an upload, the canary", put + CANARY, 2, canary=True)
    yield Case("pipeline: a head, the canary", get.replace(b"GET", b"HEAD", 1) + CANARY, 2, canary=True)
    yield Case("pipeline: an empty line between", put + b"\r\n" + CANARY, 2, canary=True)
    yield Case("pipeline: a byte too many", put + b"g" + CANARY, 2)
    yield Case("pipeline: after garbage", b"nonsense\r\n\r\n" + CANARY)
    yield Case("pipeline: after a bad length", PUT + b"Content-Length: x\r\n\r\n" + CANARY)
    yield Case("pipeline: after a bad field", GET + b"a b: c\r\n\r\n" + CANARY)
    yield Case("pipeline: after a close", GET + b"Connection: close\r\n\r\n" + CANARY)
    yield Case(
        "pipeline: after a close of an upload", put.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + CANARY
    )
    yield Case("pipeline: after HTTP/1.0", get.replace(b"HTTP/1.1", b"HTTP/1.0") + CANARY)
    websocket = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    yield Case("pipeline: after an upgrade", GET + websocket + b"\r\n" + CANARY, 2, canary=True)
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    yield Case("pipeline: after h2c", GET + upgrade + CANARY, 2, canary=True)
    within = PUT + b"Content-Length: %d\r\n\r\nabc" % (3 + len(CANARY)) + CANARY
    yield Case("pipeline: after h2c, an upload that holds the canary", GET + upgrade + within, 2)
    yield Case(
        "pipeline: after an upgrade of an upload",
        PUT + websocket + b"Content-Length: 6\r\n\r\nabcdef" + CANARY,
        2,
        canary=True,
    )
    yield Case(
        "pipeline: a body that was not asked for",
        PUT + b"Expect: 100-continue\r\nContent-Length: 6\r\n\r\nabcdef" + CANARY,
        2,
        canary=True,
    )
    refused = b"PUT /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    yield Case("pipeline: after a refused expectation", refused + b"Content-Length: %d\r\n\r\n" % len(CANARY) + CANARY)
    yield Case(
        "pipeline: after an unknown expectation",
        PUT + b"Expect: 200-ok\r\nContent-Length: %d\r\n\r\n" % len(CANARY) + CANARY,
    )
    yield Case(
        "pipeline: after a refused coding",
        PUT + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nabcdef" + CANARY,
        2,
        canary=True,
    )
    nowhere = b"PUT /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabcdef"
    yield Case("pipeline: after a refusal", nowhere + CANARY, 2, canary=True)
    yield Case(
        "pipeline: after a refusal of a chunked body",
        nowhere.replace(b"Content-Length: 6\r\n\r\nabcdef", CHUNKED + b"\r\n" + ALL) + CANARY,
        2,
        canary=True,
    )


def _bodies_where_none_belongs() -> Iterator[Case]:
    inside = b"Content-Length: %d\r\n\r\n" % len(CANARY) + CANARY
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"FETCH"):
        head = GET.replace(b"GET", method, 1).replace(b"/seed", b"/nothing")
        yield Case(f"body of {method.decode()}: a length", head + inside)
        yield Case(
            f"body of {method.decode()}: chunked",
            head + CHUNKED + b"\r\n%x\r\n" % len(CANARY) + CANARY + b"\r\n0\r\n\r\n",
        )
        yield Case(
            f"body of {method.decode()}: then the canary",
            head + b"Content-Length: 6\r\n\r\nabcdef" + CANARY,
            2,
            canary=method != b"TRACE",
        )


def _large_bodies() -> Iterator[Case]:
    body = b"0123456789abcdef" * (LARGE // 16)
    length = b"Content-Length: %d\r\n" % LARGE
    head = PUT + length + b"\r\n"
    yield Case("large: whole", head + body)
    yield Case("large: the canary behind it", head + body + CANARY, 2)
    yield Case("large: a byte behind it", head + body + b"x", 2)
    yield Case("large: two", (head + body) * 2, 2)
    yield Case("large: a read before it", GET + b"\r\n" + head + body + CANARY, 3)
    yield Case("large: the canary before it", CANARY + head + body, 2, canary=True)
    yield Case("large: the canary within it", head + body[: -len(CANARY)] + CANARY)
    yield Case("large: the canary at its begin", head + CANARY + body[len(CANARY) :])
    yield Case("large: one byte is missing", head + body[:-1])
    yield Case("large: the canary fills it up, and is cut", head + body[:-10] + CANARY, 2)
    yield Case("large: nothing of it", head)
    yield Case(
        "large: a byte less than large",
        PUT + b"Content-Length: %d\r\n\r\n" % (LARGE - 1) + body[:-1] + CANARY,
        2,
        canary=True,
    )
    yield Case("large: asked for, and there at once", PUT + length + b"Expect: 100-continue\r\n\r\n" + body + CANARY, 2)
    digest = b"Repr-Digest: sha-256=:" + b"A" * 43 + b"=:\r\n"
    yield Case("large: of another digest", PUT + length + digest + b"\r\n" + body + CANARY, 2)
    yield Case("large: refused by its kind", PUT + length + b"Artifact-Kind: NO\r\n\r\n" + body + CANARY, 2)
    yield Case("large: refused by its coding", PUT + length + b"Content-Encoding: gzip\r\n\r\n" + body + CANARY, 2)
    yield Case("large: two lengths", PUT + length + b"Content-Length: 6\r\n\r\n" + body + CANARY, 2)
    yield Case("large: to nowhere", head.replace(UPLOAD.encode(), b"/v1/nowhere") + body + CANARY, 2)
    yield Case("large: of a read", GET + length + b"\r\n" + body + CANARY, 2)
    yield Case("large: that closes", PUT + length + b"Connection: close\r\n\r\n" + body + CANARY)
    yield Case("large: of HTTP/1.0", head.replace(b"HTTP/1.1", b"HTTP/1.0") + body + CANARY)
    yield Case(
        "large: that upgrades", PUT + length + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + body + CANARY, 2
    )
    yield Case(
        "large: chunked", PUT + CHUNKED + b"\r\n%x\r\n" % LARGE + body + b"\r\n0\r\n\r\n" + CANARY, 2, canary=True
    )
    yield Case("large: a terabyte of which nothing comes", PUT + b"Content-Length: 1099511627776\r\n\r\n" + CANARY)
