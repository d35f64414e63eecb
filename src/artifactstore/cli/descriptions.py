"""What the options of a command say of a package."""

from __future__ import annotations

from collections.abc import Callable

import click

from artifactstore.domain.digest import Digest
from artifactstore.domain.package import Completeness, PackageDescription, Producer, Related

_OPTIONS = (
    click.option("--version", "label", metavar="TEXT", help="The package's version, as people write it."),
    click.option(
        "--completeness",
        type=click.Choice([str(state) for state in Completeness]),
        default=str(Completeness.UNKNOWN),
        help="Whether these are all the files that the producer made (default: unknown).",
    ),
    click.option("--note", metavar="TEXT", help="What there is to say of the completeness."),
    click.option("--producer", metavar="NAME", help="The tool that made the files."),
    click.option("--producer-version", metavar="TEXT", help="Its version."),
    click.option("--producer-uri", metavar="URI", help="Where to find it."),
    click.option(
        "--related",
        metavar="RELATION=DIGEST",
        multiple=True,
        help="Something outside of the package, such as input/source=sha256:...; may be repeated.",
    ),
    click.option("--supersedes", type=click.UUID, metavar="ID", help="The package that this one replaces."),
    click.option("--retention", metavar="CLASS", help="The name of the retention class that is asked for."),
)


def describing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that `description_of` takes, and `--supersedes`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def description_of(
    *,
    label: str | None,
    completeness: str,
    note: str | None,
    producer: str | None,
    producer_version: str | None,
    producer_uri: str | None,
    related: tuple[str, ...],
    retention: str | None,
) -> PackageDescription:
    """What the options say. InvalidDigestError; what else breaks a rule is found when the package is sealed."""
    if producer is None and (producer_version or producer_uri):
        raise click.UsageError("a producer's version and URI need --producer")
    pairs = [item.partition("=") for item in related]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("what is related is written RELATION=DIGEST")
    return PackageDescription(
        label=label,
        completeness=Completeness(completeness),
        completeness_note=note,
        producer=None if producer is None else Producer(producer, producer_version, producer_uri),
        related=tuple(Related(relation, Digest.parse(digest, field="related")) for relation, _, digest in pairs),
        retention=retention,
    )
