from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.api.worker import is_download

HOST = b"Host: a\r\n"
WHOLE = b"GET /v1/objects/blake3:00 HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/objects/blake3:00 HTTP/1.1",
        b"HEAD /v1/objects/sha256:00 HTTP/1.1",
        b"GET /v1/files/ns/a/b.txt HTTP/1.1",
        b"GET /v1/files/ns/a%2Fb?x=y HTTP/1.1",
        b"GET /v1/artifacts/01234567-89ab-cdef-0123-456789abcdef/content HTTP/1.1",
    ],
)
def test_downloads(line: bytes) -> None:
    assert is_download(line + b"\r\n" + HOST + b"\r\n")
    assert is_download(line + b"\r\n" + HOST + b"Range: bytes=0-9\r\nAuthorization: Bearer ast_x\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"PUT /v1/files/ns/a HTTP/1.1",
        b"DELETE /v1/objects/blake3:00 HTTP/1.1",
        b"POST /v1/objects HTTP/1.1",
        b"GET /v1/objects HTTP/1.1",
        b"GET /v1/objects/a/b HTTP/1.1",
        b"GET /v1/artifacts/1 HTTP/1.1",
        b"GET /v1/artifacts/1/retrievals HTTP/1.1",
        b"GET /v1/artifacts?name=a/content HTTP/1.1",
        b"GET /v1/events HTTP/1.1",
        b"GET /metrics HTTP/1.1",
        b"GET /v1/files/ns/a HTTP/1.0",
        b"get /v1/files/ns/a HTTP/1.1",
        b"GET  /v1/files/ns/a HTTP/1.1",
        b"GET http://a/v1/files/ns/a HTTP/1.1",
        b" GET /v1/files/ns/a HTTP/1.1",
    ],
)
def test_everything_else_is_the_writers(line: bytes) -> None:
    assert not is_download(line + b"\r\n" + HOST + b"\r\n")


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 0",
        b"content-length:3",
        b"Content-Length : 3",
        b"Transfer-Encoding: chunked",
        b"TRANSFER-ENCODING:\tx",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
    ],
)
def test_what_may_have_a_body_or_become_something_else_is_the_writers(field: bytes) -> None:
    assert not is_download(WHOLE[:-2] + field + b"\r\n\r\n")
    assert not is_download(WHOLE.replace(HOST, field + b"\r\n" + HOST))


@given(st.integers(0, len(WHOLE) - 1))
def test_a_part_of_a_head_is_the_writers(end: int) -> None:
    assert not is_download(WHOLE[:end])


@given(st.binary(min_size=1))
def test_more_than_a_head_is_the_writers(more: bytes) -> None:
    assert not is_download(WHOLE + more)


def test_two_requests_are_the_writers() -> None:
    assert is_download(WHOLE)
    assert not is_download(WHOLE + WHOLE)
