"""`bench`: what a server does with large and small objects."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from artifactstore.cli import eventloop
from artifactstore.cli.target import Target, with_target

if TYPE_CHECKING:
    from artifactstore.traffic import Answer, Job, Peer

_SMALL = 4096


@click.command()
@click.option("--size", type=click.IntRange(min=1), default=256, show_default=True, help="The large object, in MiB.")
@click.option("--requests", type=click.IntRange(min=1), default=2000, show_default=True, help="Small objects.")
@click.option("--connections", type=click.IntRange(min=1), default=32, show_default=True, help="For small objects.")
@with_target
def bench(target: Target, size: int, requests: int, connections: int) -> None:
    """Measure a server: store and read one large object, then many of 4 KiB. What was stored is deleted at the end.

    Client and network are part of what is measured. An upload counts until its answer.
    """
    from artifactstore.traffic import Peer

    if target.settings.server is None:
        raise click.UsageError("bench works through a server: --server URL")
    peer = Peer.parse(target.settings.server, target.settings.token)
    stored: list[str] = []
    try:
        document = {
            **_large(peer, size * 2**20, stored),
            **_small(peer, requests, connections, stored),
        }
    finally:
        if stored:
            _run(peer, (_delete(peer, digest) for digest in stored), connections)
    target.print(document, "\n".join(_lines(document)))


def _large(peer: Peer, size: int, stored: list[str]) -> dict[str, dict[str, float]]:
    from artifactstore.traffic import RandomBody, transfer

    body = RandomBody(size)

    def upload() -> None:
        answer = transfer(peer, peer.request("POST", "/v1/objects", length=size), body)
        stored.append(_created(answer))

    def download() -> None:
        transfer(peer, peer.request("GET", f"/v1/objects/{stored[0]}")).expect(200)

    return {name: _timed(work, size) for name, work in (("upload", upload), ("download", download))}


def _timed(work: Callable[[], None], size: int) -> dict[str, float]:
    begin = time.perf_counter()
    work()
    seconds = time.perf_counter() - begin
    return {"size_bytes": size, "seconds": seconds, "gb_per_second": size / seconds / 1e9}


def _small(peer: Peer, requests: int, connections: int, stored: list[str]) -> dict[str, dict[str, float]]:
    digests: list[str] = []

    def puts() -> Iterator[Job]:
        for _ in range(requests):
            yield _put(peer, digests, stored)

    put = _run(peer, puts(), connections)
    get = _run(peer, (_get(peer, digest) for digest in digests), connections)
    return {"put_4096": put, "get_4096": get}


def _put(peer: Peer, digests: list[str], stored: list[str]) -> Job:
    answer = yield peer.request("POST", "/v1/objects", os.urandom(_SMALL))
    digests.append(_created(answer))
    stored.append(digests[-1])


def _get(peer: Peer, digest: str) -> Job:
    (yield peer.request("GET", f"/v1/objects/{digest}")).expect(200)


def _delete(peer: Peer, digest: str) -> Job:
    (yield peer.request("DELETE", f"/v1/objects/{digest}")).expect(204)


def _created(answer: Answer) -> str:
    return str(json.loads(bytes(answer.expect(201).body))["blake3"])


def _run(peer: Peer, jobs: Iterator[Job], connections: int) -> dict[str, float]:
    from artifactstore.traffic import drive

    load = eventloop.run(drive(peer, jobs, connections))
    return {
        "requests": len(load.latencies),
        "connections": connections,
        "requests_per_second": load.per_second,
        "p50_ms": 1000 * load.percentile(0.5),
        "p99_ms": 1000 * load.percentile(0.99),
    }


def _lines(document: dict[str, dict[str, float]]) -> Iterator[str]:
    for name, found in document.items():
        if "seconds" in found:
            text = f"{found['gb_per_second']:10.3f} GB/s   {found['seconds']:.3f} s for {found['size_bytes']} bytes"
        else:
            text = f"{found['requests_per_second']:10.0f} a second"
            text += f"   p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms, {found['connections']} connections"
        yield f"{name:<10} {text}"
