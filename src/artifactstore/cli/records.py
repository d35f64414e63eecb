"""`ls`, `show`, `verify`, `rm`, `events`: facts about what is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from artifactstore.cli.addresses import ADDRESS, DIGEST, MOMENT, Address, meant
from artifactstore.cli.target import Target, with_target
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import (
    artifact_document,
    attestation_document,
    identity_document,
    lineage_document,
    retrievals_document,
)
from artifactstore.domain.lineage import Lineage
from artifactstore.domain.provenance import InputKind
from artifactstore.domain.search import SearchTerms

if TYPE_CHECKING:
    from artifactstore.domain.artifact import Retrievals
    from artifactstore.spi import ArtifactStore

_PAGE = 500


@click.command()
@click.argument("where", metavar="[NAMESPACE[/PREFIX]]", required=False)
@click.option("--name", help="Versions of this name alone.")
@click.option("--kind", help="Artifacts of this kind.")
@click.option("--label", "labels", metavar="KEY[=VALUE]", multiple=True, help="Those with this label; may be repeated.")
@click.option("--media-type", help="Artifacts of this media type.")
@click.option("--digest", type=DIGEST, help="Artifacts of this object.")
@click.option("--size-min", type=click.IntRange(min=0), help="Objects of at least so many bytes.")
@click.option("--size-max", type=click.IntRange(min=0), help="Objects of at most so many bytes.")
@click.option("--created-after", type=MOMENT, help="Recorded at this time or later, such as 2026-01-31T23:59:58Z.")
@click.option("--created-before", type=MOMENT, help="Recorded before this time.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@with_target
def ls(target: Target, where: str | None, labels: tuple[str, ...], limit: int | None, **terms: Any) -> None:
    """List artifacts in the order of namespace, name, version: those for which all holds that is asked.

    Of each: its version, size in bytes, the beginning of its BLAKE3 digest, when it was stored, its name.
    """
    namespace, _, prefix = (where or "").partition("/")
    pairs = [label.partition("=") for label in labels]
    with meant():
        search = SearchTerms(
            namespace=namespace or None,
            name_prefix=prefix or None,
            labels=tuple((key, value if equals else None) for key, equals, value in pairs),
            **terms,
        ).checked()
    asked: dict[str, Any] = {item.name: getattr(search, item.name) for item in fields(search)}

    async def work(store: ArtifactStore) -> None:
        cursor, left = None, limit
        while True:
            page = await store.artifacts(
                **asked,
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
@click.option("--sources", is_flag=True, help="Show what it was made from, too.")
@click.option("--derived", is_flag=True, help="Show what was made from it, too.")
@click.option("--depth", type=click.IntRange(1, 32), default=1, help="How far to go for both (default 1).")
@with_target
def show(target: Target, address: Address, retrievals: bool, sources: bool, derived: bool, depth: int) -> None:
    """Show the record of an artifact and what is attached to it, or the record of an object by its digest."""
    lineages: dict[str, Lineage] = {}

    async def work(store: ArtifactStore) -> dict[str, object]:
        if isinstance(address, Digest):
            stored = await store.object(address)
            identity = stored.identity
            return {**identity_document(identity), "state": str(stored.state)}
        artifact = await (store.artifact(address) if isinstance(address, UUID) else store.file(*address))
        document = artifact_document(artifact)
        document["attestations"] = [attestation_document(item) for item in await store.attestations(artifact.id)]
        if sources:
            lineages["sources"] = await store.sources(artifact.id, depth=depth)
        if derived:
            lineages["derived"] = await store.derived(artifact.id, depth=depth)
        document |= {name: lineage_document(lineage) for name, lineage in lineages.items()}
        if retrievals:
            document["retrievals"] = [retrievals_document(item) async for item in _all_retrievals(store, artifact.id)]
        return document

    document = target.run(work, read_only=True)
    hidden = {"provenance_text", *lineages}
    lines = [f"{name:<12} {_plain(value)}" for name, value in document.items() if name not in hidden]
    for name, lineage in lineages.items():
        lines += [f"{name}:", *_lines(lineage)]
    target.print(document, "\n".join(lines))


async def _all_retrievals(store: ArtifactStore, artifact_id: UUID) -> AsyncIterator[Retrievals]:
    after: tuple[str, str] | None = None
    while page := await store.retrievals(artifact_id, after=after, limit=1000):
        for item in page:
            yield item
        after = page[-1].minute, page[-1].actor


def _lines(lineage: Lineage) -> Iterator[str]:
    """Each edge, further to the right the further away it is."""

    def named(artifact_id: UUID) -> str:
        artifact = lineage.artifacts[artifact_id]
        return f"{artifact.namespace}/{artifact.name} version {artifact.version}"

    for edge in lineage.edges:
        source = edge.input
        known = UUID(bytes=source.target) if source.kind is InputKind.ARTIFACT else None
        what = named(known) if known is not None and known in lineage.artifacts else str(source)
        yield f"{'  ' * edge.level}{named(edge.artifact_id)} from {what}"
    if lineage.truncated:
        yield "  ... and more"


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
