"""Servers that take and give bytes: ours, and its opponents behind the same few methods and the same client."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import uvloop

from artifactstore.traffic import Answer, Job, Peer, RandomBody, drive, transfer
from benchmarks.opponents import ceilings
from benchmarks.processes import NotMeasuredError, Server


class Contender:
    """A server that stores what is PUT under a path. `note` says what it digests and whether it syncs."""

    name = ""
    note = ""
    syncs = True  # whether an answer says that the bytes are on the disk

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self._count = 0

    @property
    def peer(self) -> Peer:
        """Where it listens."""
        return self.server.peer

    def _path(self) -> str:
        self._count += 1
        return f"/stored/{self._count}"

    def store(self, body: RandomBody) -> str:
        """Upload a large body, blocking, until the answer; where it can be read."""
        path = self._path()
        transfer(self.peer, self.peer.request("PUT", path, length=body.size), body).expect(200, 201, 204)
        return path

    def put(self, data: bytes, paths: list[str]) -> Job:
        """Upload a small body; where it can be read is added to `paths`."""
        path = self._path()
        (yield self.peer.request("PUT", path, data)).expect(200, 201, 204)
        paths.append(path)

    def prepare(self, body: RandomBody) -> None:
        """What a client has to know of a body before it sends it; not timed."""

    def sync(self) -> None:
        """Bring to the disk what was acknowledged and may not be there yet."""
        sync_file_system(self.directory)

    def files(self) -> Iterator[Path]:
        """What it has stored, as files."""
        return (path for path in self.directory.rglob("*") if path.is_file())

    def clear(self) -> None:
        """Delete what it has stored, and keep the directories."""
        for file in self.files():
            file.unlink()


class ArtifactStore(Contender):
    """This store, as `artifactstore serve` runs it."""

    name = "artifact-store"
    note = "BLAKE3 and SHA-256, synced, recorded"
    directory_name = "artifact-store"
    options: tuple[str, ...] = ()

    @classmethod
    def start(cls, work: Path) -> ArtifactStore:
        """Over a root of its own."""
        root = work / cls.directory_name
        command = (sys.executable, "-m", "artifactstore", "serve", "--root", str(root), "--log-level", "warning")
        return cls(Server(lambda port: (*command, *cls.options, "--port", str(port)), root.with_suffix(".log")), root)

    def store(self, body: RandomBody) -> str:
        """POST, since nobody knows a digest beforehand."""
        return self._stored(transfer(self.peer, self.peer.request("POST", "/v1/objects", length=body.size), body))

    def put(self, data: bytes, paths: list[str]) -> Job:
        """POST."""
        paths.append(self._stored((yield self.peer.request("POST", "/v1/objects", data))))

    def _stored(self, answer: Answer) -> str:
        return f"/v1/objects/{json.loads(bytes(answer.expect(201).body))['blake3']}"

    def files(self) -> Iterator[Path]:
        """The objects' files."""
        return (path for path in (self.directory / "objects").rglob("*") if path.is_file())

    def clear(self) -> None:
        """Delete by request, as the registry must know of it."""
        paths = [f"/v1/objects/{file.parents[1].name}:{file.name}" for file in self.files()]
        uvloop.run(drive(self.peer, map(self._delete, paths), 16))

    def _delete(self, path: str) -> Job:
        (yield self.peer.request("DELETE", path)).expect(204)


class TwoProcesses(ArtifactStore):
    """This store with a worker: as many processes as nginx has on two cores."""

    name = "artifact-store, 2 processes"
    note = "--workers 2: one of them answers downloads alone"
    directory_name = "artifact-store-2"
    options = ("--workers", "2")


class Naive(Contender):
    """What one writes first."""

    name = "naive aiohttp"
    note = "hashlib and wheel inline; synced"

    @classmethod
    def start(cls, work: Path) -> Naive:
        """In a directory of its own."""
        directory = work / "naive"
        directory.mkdir()
        command = (sys.executable, "-m", "benchmarks.opponents.naive", str(directory))
        return cls(Server(lambda port: (*command, str(port)), work / "naive.log"), directory)


class Bare(Contender):
    """aiohttp's static files, and a handler that answers from memory."""

    name = "aiohttp static"
    note = "reads only"

    @classmethod
    def start(cls, work: Path) -> Bare:
        """Over a directory of its own, which the suite fills."""
        directory = work / "bare"
        directory.mkdir()
        command = (sys.executable, "-m", "benchmarks.opponents.bare", str(directory))
        return cls(Server(lambda port: (*command, str(port)), work / "bare.log"), directory)


class Nginx(Contender):
    """nginx: WebDAV's PUT, and static files by sendfile."""

    name = "nginx"
    note = "DAV PUT, sendfile; no digest; does not sync"
    syncs = False

    @classmethod
    def start(cls, work: Path) -> Nginx:
        """With a configuration of its own."""
        command = _installed("nginx")
        directory, own = work / "nginx", work / "nginx-own"
        directory.mkdir()
        own.mkdir()

        def configured(port: int) -> tuple[str, ...]:
            (own / "nginx.conf").write_text(_NGINX.format(port=port, own=own, directory=directory, user=_nginx_user()))
            return (command, "-p", str(own), "-c", str(own / "nginx.conf"), "-e", str(own / "error.log"))

        return cls(Server(configured, work / "nginx.log"), directory)


_NGINX = """\
daemon off;
{user}
worker_processes auto;
pid {own}/nginx.pid;
error_log {own}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=10000;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {directory};
        location / {{
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
}}
"""


def _nginx_user() -> str:
    return "user root;" if os.geteuid() == 0 else ""


class DockerRegistry(Contender):
    """The distribution registry: a POST for an upload, then a PUT with the digest, which must be known."""

    name = "docker-registry"
    note = "SHA-256; does not sync"
    syncs = False

    @classmethod
    def start(cls, work: Path) -> DockerRegistry:
        """With a configuration of its own."""
        command = _installed("docker-registry")
        directory = work / "docker-registry"
        directory.mkdir()

        def configured(port: int) -> tuple[str, ...]:
            file = work / "docker-registry.yml"
            file.write_text(_REGISTRY.format(port=port, directory=directory))
            return (command, "serve", str(file))

        return cls(Server(configured, work / "docker-registry.log"), directory)

    def prepare(self, body: RandomBody) -> None:
        """Digest it."""
        digest_of(body)

    def store(self, body: RandomBody) -> str:
        """Two requests, both timed."""
        announced = digest_of(body)
        begun = transfer(self.peer, self.peer.request("POST", _UPLOADS)).expect(202)
        request = self.peer.request("PUT", _closing(begun, announced), b"", _BINARY, length=body.size)
        transfer(self.peer, request, body).expect(201)
        return f"/v2/bench/blobs/{announced}"

    def put(self, data: bytes, paths: list[str]) -> Job:
        """The same, over one connection."""
        announced = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = (yield self.peer.request("POST", _UPLOADS)).expect(202)
        (yield self.peer.request("PUT", _closing(begun, announced), data, _BINARY)).expect(201)
        paths.append(f"/v2/bench/blobs/{announced}")


_UPLOADS = "/v2/bench/blobs/uploads/"
_BINARY = "Content-Type: application/octet-stream"
_REGISTRY = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}, maxthreads: 100}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@lru_cache(maxsize=8)
def digest_of(body: RandomBody) -> str:
    """`sha256:<hex>` of a body."""
    sha256 = hashlib.sha256()
    for piece in body:
        sha256.update(piece)
    return f"sha256:{sha256.hexdigest()}"


def _closing(begun: Answer, announced: str) -> str:
    location = begun.header("Location") or ""
    path = location[location.index("/v2/") :]
    return f"{path}{'&' if '?' in path else '?'}digest={announced}"


class Rclone(Contender):
    """rclone serve webdav over a local directory."""

    name = "rclone serve webdav"
    note = "no digest; does not sync"
    syncs = False

    @classmethod
    def start(cls, work: Path) -> Rclone:
        """In a directory of its own."""
        command = _installed("rclone")
        directory = work / "rclone"
        (directory / "stored").mkdir(parents=True)
        serve = (command, "serve", "webdav", str(directory), "--config", str(work / "rclone.conf"))
        return cls(Server(lambda port: (*serve, "--addr", f"127.0.0.1:{port}"), work / "rclone.log"), directory)


class Ceiling(Contender):
    """Receives in C and keeps nothing."""

    def __init__(self, server: Server, directory: Path, name: str, note: str) -> None:
        super().__init__(server, directory)
        self.name = name
        self.note = note

    @classmethod
    def start(cls, work: Path, *, digest: bool) -> Ceiling:
        """Built by make."""
        command = ceilings.program("receive")
        way = "digest" if digest else "drop"
        directory = work / f"receive-{way}"
        directory.mkdir()
        server = Server(lambda port: (command, str(port), way), work / f"receive-{way}.log")
        note = "ceiling in C: our digest; keeps nothing" if digest else "ceiling in C: keeps nothing"
        return cls(server, directory, f"receive and {way}", note)


def sync_file_system(directory: Path) -> None:
    """Write back what is dirty on the file system of a directory: Python has no syncfs of its own."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(descriptor)


def _installed(command: str) -> str:
    found = shutil.which(command)
    if found is None:
        raise NotMeasuredError("not installed")
    return found


def start_all(
    starts: dict[str, Callable[[Path], Contender]], work: Path, running: ExitStack
) -> tuple[list[Contender], list[str]]:
    """Start what can be started here; the contenders, and a line for each that cannot."""
    started: list[Contender] = []
    missing: list[str] = []
    for name, start in starts.items():
        try:
            contender = start(work)
        except NotMeasuredError as error:
            missing.append(f"{name}: {error}")
            continue
        running.callback(contender.server.stop)
        started.append(contender)
    return started, missing
