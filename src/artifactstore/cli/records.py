"""`ls`, `show`, `verify`, `rm`, `events`: facts about what is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import click

from artifactstore.cli.addresses import ADDRESS, Address, meant
from artifactstore.cli.target import Target, with_target
from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import artifact_document, identity_document, retrievals_document

if TYPE_CHECKING:
    from artifactstore.spi import ArtifactStore

_PAGE = 500


@click.command()
@click.argument("where", metavar="[NAMESPACE[/PREFIX]]", required=False)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@with_target
def ls(target: Target, where: str | None, limit: int | None) -> None:
    """List artifacts in the order of namespace, name, version.

    Of each: its version, size in bytes, the beginning of its BLAKE3 digest, when it was stored, its name.
    """
    namespace, _, prefix = (where or "").partition("/")
    with meant():
        names.check_search(namespace or None, None, prefix or None)

    async def work(store: ArtifactStore) -> None:
        cursor, left = None, limit
        while True:
            page = await store.artifacts(
                namespace=namespace or None,
                name_prefix=prefix or None,
                limit=_PAGE if left is None else min(_PAGE, left),
                cursor=cursor,
            )
            for item in page.items:
                text = f"{item.version:>4}  {item.identity.size_bytes:>14}  {item.identity.blake3.hex[:16]}  "
                target.print(artifact_document(item), f"{text}{item.created_at}  {item.namespace}/{item.name}")
            cursor = page.next
            left = None if left is None else left - len(page.items)
            if cursor is None or left == 0:
                return

    target.run(work, read_only=True)


@click.command()
@click.argument("address", type=ADDRESS)
@click.option("--retrievals", is_flag=True, help="Show who read the artifact, too.")
@with_target
def show(target: Target, address: Address, retrievals: bool) -> None:
    """Show the record of an artifact, or of an object by its digest."""

    async def work(store: ArtifactStore) -> dict[str, object]:
        if isinstance(address, Digest):
            stored = await store.object(address)
            identity = stored.identity
            return {**identity_document(identity), "state": str(stored.state)}
        artifact = await (store.artifact(address) if isinstance(address, UUID) else store.file(*address))
        document = artifact_document(artifact)
        if retrievals:
            document["retrievals"] = [retrievals_document(item) for item in await store.retrievals(artifact.id)]
        return document

    document = target.run(work, read_only=True)
    shown = {name: value for name, value in document.items() if name != "provenance_text"}
    target.print(document, "\n".join(f"{name:<12} {_plain(value)}" for name, value in shown.items()))


@click.command()
@click.argument("addresses", metavar="ADDRESS...", type=ADDRESS, nargs=-1, required=True)
@with_target
def verify(target: Target, addresses: tuple[Address, ...]) -> None:
    """Re-read and re-digest objects. Exit status 1 if one of them is damaged."""

    async def work(store: ArtifactStore) -> bool:
        sound = True
        for address in addresses:
            found = await store.verify_object(await _object_of(store, address))
            sound = sound and found.verified
            blake3 = found.expected.blake3
            text = f"ok {blake3}" if found.verified else f"DAMAGED {blake3}: {found.reason}"
            target.print(found.document(), text)
        return sound

    if not target.run(work):
        raise click.ClickException("an object is damaged; uploading it again mends it")


@click.command()
@click.argument("address", type=ADDRESS)
@with_target
def rm(target: Target, address: Address) -> None:
    """Delete an object by its digest, or tombstone NAMESPACE/NAME."""
    if isinstance(address, UUID):
        raise click.UsageError("name a digest, or NAMESPACE/NAME: versions are not deleted one by one")

    async def work(store: ArtifactStore) -> None:
        if isinstance(address, Digest):
            await store.delete_object(address)
        else:
            await store.delete_file(*address)

    target.run(work)
    text = str(address) if isinstance(address, Digest) else "/".join(address)
    target.print({"deleted": text}, f"deleted {text}")


@click.command()
@click.option("--after", type=click.IntRange(min=0), default=0, help="Begin after this sequence number.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@with_target
def events(target: Target, after: int, limit: int | None) -> None:
    """Print the event log in order."""

    async def work(store: ArtifactStore) -> None:
        position, left = after, limit
        while left is None or left > 0:
            page = await store.events(after=position, limit=_PAGE if left is None else min(_PAGE, left))
            if not page:
                return
            for event in page:
                target.print(
                    event.document(), f"{event.seq:>8}  {event.time}  {event.type:<20} {event.subject}  {event.actor}"
                )
            position = page[-1].seq
            left = None if left is None else left - len(page)

    target.run(work, read_only=True)


async def _object_of(store: ArtifactStore, address: Address) -> Digest:
    if isinstance(address, Digest):
        return address
    artifact = await (store.artifact(address) if isinstance(address, UUID) else store.file(*address))
    return artifact.identity.blake3


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
