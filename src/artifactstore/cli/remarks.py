"""`label` and `attest`: what is said of an artifact after it was stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from artifactstore.cli.addresses import ADDRESS, Address, meant
from artifactstore.cli.target import Target, with_target
from artifactstore.cli.transfer import opened
from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import artifact_document, attestation_document

if TYPE_CHECKING:
    from artifactstore.spi import ArtifactStore


@click.command()
@click.argument("address", type=ADDRESS)
@click.argument("changes", metavar="KEY=VALUE|KEY-...", nargs=-1, required=True)
@click.option(
    "--if-match", metavar="REVISION", type=click.IntRange(1), help="Fail unless this is the artifact's revision."
)
@with_target
def label(target: Target, address: Address, changes: tuple[str, ...], if_match: int | None) -> None:
    """Set labels of an artifact (KEY=VALUE), or take them away (KEY-). Others stay as they are."""
    wanted: dict[str, str | None] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals and not key.endswith("-"):
            raise click.UsageError("a change of a label is written KEY=VALUE, or KEY- to take it away")
        key = key if equals else key[:-1]
        if key in wanted:
            raise click.UsageError(f"the label {key} stands twice")
        wanted[key] = value if equals else None
    with meant():
        names.check_label_changes(wanted)

    async def work(store: ArtifactStore) -> dict[str, object]:
        revisions = None if if_match is None else frozenset({if_match})
        return artifact_document(await store.relabel(await _artifact_id(store, address), wanted, if_match=revisions))

    document = target.run(work)
    labels = document["labels"]
    assert isinstance(labels, dict)  # noqa: S101 - as every record has them
    target.print(document, "\n".join(f"{key}={value}" for key, value in labels.items()) or "no labels")


@click.command()
@click.argument("address", type=ADDRESS)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True, exists=True))
@with_target
def attest(target: Target, address: Address, file: Path) -> None:
    """Attach the statement in FILE, or on standard input (-), to an artifact's object.

    It is an in-toto Statement v1, or a DSSE envelope of one, and the object must be one of its subjects. What is known
    of its signature is recorded with it: unsigned, unverified, verified or failed.
    """
    with opened(file) as source:
        statement = source.read()

    async def work(store: ArtifactStore) -> dict[str, object]:
        attestation, created = await store.attest(await _artifact_id(store, address), statement)
        return {**attestation_document(attestation), "created": created}

    document = target.run(work)
    target.print(document, f"{document['statement']}  {document['signature']}  {document['predicate_type']}")


async def _artifact_id(store: ArtifactStore, address: Address) -> UUID:
    if isinstance(address, Digest):
        raise click.UsageError("name an artifact, by its id or as NAMESPACE/NAME: an object has no record of its own")
    return address if isinstance(address, UUID) else (await store.file(*address)).id
