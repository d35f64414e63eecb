"""`put` and `get`: bytes in and out, digested on the way."""

from __future__ import annotations

import mimetypes
import os
import stat
import sys
from collections.abc import AsyncIterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import UUID

import click

from artifactstore.cli.addresses import ADDRESS, DIGEST, Address, meant
from artifactstore.cli.outputs import refuse_existing, whole_file
from artifactstore.cli.progress import bar, counted
from artifactstore.cli.target import Target, naming, with_target
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.documents import artifact_document, identity_document
from artifactstore.domain.errors import DigestMismatchError
from artifactstore.domain.ranges import ByteRange

if TYPE_CHECKING:
    from artifactstore.spi import ArtifactStore, Content


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True, exists=True), required=False)
@click.option("--digest", type=DIGEST, help="In place of FILE: bytes that are stored already.")
@click.option("--name", metavar="NAMESPACE/NAME", type=ADDRESS, help="Store it as the next version of this name.")
@click.option("--namespace", help="The namespace of bytes without a name (default: default).")
@click.option("--kind", help="What it is, such as report.")
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="A label; may be repeated.")
@click.option("--media-type", help="Its media type (default: guessed from the file's name).")
@click.option("--retention", help="The name of a retention class.")
@click.option(
    "--provenance",
    metavar="JSON|@FILE|DIGEST",
    help="Where it comes from: a JSON object, as text or in a file, or a digest.",
)
@click.option(
    "--expect", "expected", type=DIGEST, multiple=True, help="A digest that the bytes must have; may be repeated."
)
@click.option("--create-only", is_flag=True, help="Fail if the name is there already.")
@with_target
def put(
    target: Target,
    file: Path | None,
    digest: Digest | None,
    name: Address | None,
    namespace: str | None,
    labels: tuple[str, ...],
    provenance: str | None,
    expected: tuple[Digest, ...],
    create_only: bool,
    **described: str | None,
) -> None:
    """Store FILE, or standard input when FILE is -.

    With --name it becomes the next version of that name, with the metadata that is given; without, it is bytes that are
    addressed by their digests. It is stored durably when its digest is printed. With --digest and --name, bytes that
    are stored already become the next version of the name.
    """
    if (file is None) == (digest is None):
        raise click.UsageError("name a FILE, or with --digest what is stored already")
    if digest is not None and (name is None or expected):
        raise click.UsageError("--digest is what a --name is to stand for; its bytes are known")
    if name is not None and not isinstance(name, tuple):
        raise click.UsageError("--name is written NAMESPACE/NAME")
    if name is not None and namespace is not None:
        raise click.UsageError("--name has a namespace already")
    if name is None and (labels or provenance or create_only or any(described.values())):
        raise click.UsageError("only what has a --name has metadata")
    with meant():
        namespace = names.check_namespace(namespace or names.DEFAULT_NAMESPACE)
        guessed = Path(name[1]) if file is None and name is not None else file or Path()
        media_type = described.pop("media_type") or mimetypes.guess_type(guessed.name)[0] or names.DEFAULT_MEDIA_TYPE
        metadata = metadata_of(labels, provenance, media_type=media_type, **described)

    async def work(store: ArtifactStore) -> None:
        if file is None and digest is not None and name is not None:
            artifact = await store.record_artifact(*name, digest, metadata=metadata, create_only=create_only)
            _print(target, artifact.identity, artifact, created=False)
        elif file is not None:
            await upload(store, file)

    async def upload(store: ArtifactStore, file: Path) -> None:
        from artifactstore.dataplane.sources import opened_apart, read_file

        with await opened_apart(partial(opened, file)) as source:
            size = _size(source) if str(file) != "-" else None
            with bar(size, file.name, quiet=target.as_json) as shown:
                stream = counted(read_file(source), shown)
                if name is None:
                    stored = await store.put_object(stream, namespace=namespace, expected=expected, size_hint=size)
                    identity, created, artifact = stored.identity, stored.created, None
                else:
                    artifact, created = await store.put_file(
                        *name, stream, metadata=metadata, expected=expected, size_hint=size, create_only=create_only
                    )
                    identity = artifact.identity
        _print(target, identity, artifact, created=created)

    target.run(work)


def _print(target: Target, identity: ObjectIdentity, artifact: Artifact | None, *, created: bool) -> None:
    document = {} if artifact is None else artifact_document(artifact)
    what = "" if artifact is None else f"  {artifact.namespace}/{artifact.name} version {artifact.version}"
    text = f"{identity.blake3}  {identity.size_bytes}{what}"
    target.print({**identity_document(identity), **document, "created": created}, text)


def opened(file: Path) -> BinaryIO:
    """The file, or standard input.

    Unbuffered: a read of a silent pipe must not hold a lock that the end of the program wants, too.
    """
    return open(0, "rb", buffering=0, closefd=False) if str(file) == "-" else file.open("rb", buffering=0)


def _size(source: BinaryIO) -> int | None:
    """How many bytes will come, where the file knows: a pipe does not, and a file of /proc says 0."""
    status = os.fstat(source.fileno())
    return status.st_size or None if stat.S_ISREG(status.st_mode) else None


def metadata_of(
    labels: tuple[str, ...],
    provenance: str | None,
    *,
    media_type: str,
    kind: str | None,
    retention: str | None,
) -> ArtifactMetadata:
    """What options say of an artifact, checked. `provenance` is text, a digest, or @ and the name of a file."""
    pairs = [label.partition("=") for label in labels]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("a label is written KEY=VALUE")
    if provenance is not None and provenance.startswith("@"):
        try:
            provenance = Path(provenance[1:]).read_bytes().decode()
        except UnicodeDecodeError:
            raise click.ClickException(f"{provenance[1:]} is not UTF-8") from None
    return ArtifactMetadata(
        kind=kind,
        media_type=media_type,
        labels=names.check_labels((key, value) for key, _, value in pairs),
        provenance=provenance,
        retention=retention,
    ).checked()


@click.command()
@click.argument("address", type=ADDRESS)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The file to write, or - for standard output.",
)
@click.option("--range", "span", metavar="FIRST-LAST", help="Only these bytes, counted from 0.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@with_target
def get(target: Target, address: Address, output: Path | None, span: str | None, force: bool) -> None:
    """Read the bytes at ADDRESS, and check them.

    They are digested as they are written, and the digests compared; a file gets its name only after that. By default
    the file is named after the last segment of the artifact's name; a digest has none, so it needs -o. With -o - the
    bytes go to standard output.
    """
    byte_range = None if span is None else _span(span)

    async def work(store: ArtifactStore) -> None:
        path = output or await _default_output(store, address)
        standard_output = str(output) == "-"
        if not standard_output:
            refuse_existing(path, force=force)
        async with await _content(store, address, byte_range) as content:
            with bar(content.byte_range.length, str(path), quiet=target.as_json) as shown:
                stream = counted(content.chunks(), shown)
                if standard_output:
                    with naming("standard output"):
                        await _write(stream, sys.stdout.buffer, content)
                    return
                with whole_file(path) as file:
                    await _write(stream, file, content)
        known = {"blake3": str(content.identity.blake3), "size_bytes": content.byte_range.length, "output": str(path)}
        target.print(known, f"{content.identity.blake3}  {content.byte_range.length}  {path}")

    target.run_recording(work)


def _span(text: str) -> ByteRange:
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise click.UsageError("--range is written FIRST-LAST, two whole numbers in order")
    return ByteRange(int(first), int(last) - int(first) + 1)


async def _default_output(store: ArtifactStore, address: Address) -> Path:
    if isinstance(address, Digest):
        raise click.UsageError("a digest names no file: say -o FILE, or -o - for standard output")
    name = (await store.artifact(address)).name if isinstance(address, UUID) else address[1]
    return Path(name.rpartition("/")[2])


async def _content(store: ArtifactStore, address: Address, byte_range: ByteRange | None) -> Content:
    if isinstance(address, Digest):
        return await store.open_object(address, byte_range)
    if isinstance(address, UUID):
        return await store.open_artifact(address, byte_range)
    return await store.open_file(*address, byte_range)


async def _write(stream: AsyncIterable[bytes], file: BinaryIO, content: Content) -> None:
    """Write and digest; DigestMismatchError when the whole is not what its digests say."""
    from artifactstore.hashing import DualHasher

    hasher = DualHasher()
    async for chunk in stream:
        hasher.update(chunk)
        file.write(chunk)
    file.flush()
    if content.byte_range.length != content.identity.size_bytes:
        return  # a part cannot be held against the digests of the whole
    digests = hasher.digests()
    if (digests.blake3, digests.sha256) != (content.identity.blake3.value, content.identity.sha256.value):
        raise DigestMismatchError(f"what was written is not {content.identity.blake3}")
