"""What a command's arguments mean; an ADDRESS is a digest, NAMESPACE/NAME, or an artifact's id."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import click

from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidInputError
from artifactstore.domain.times import parse_time

type Address = Digest | UUID | tuple[str, str]


@contextlib.contextmanager
def meant() -> Iterator[None]:
    """A usage error where what an argument says cannot be meant."""
    try:
        yield
    except InvalidInputError as error:
        raise click.UsageError(error.detail) from error


class AddressType(click.ParamType[Address]):
    """Parses an ADDRESS."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """A digest if it begins like one, else a name if it holds a '/', else an id."""
        text = str(value)
        try:
            if text.startswith(("blake3:", "sha256:")):
                return Digest.parse(text)
            namespace, slash, name = text.partition("/")
            return (names.check_namespace(namespace), names.check_name(name)) if slash else UUID(text)
        except InvalidInputError as error:
            self.fail(error.detail, param, ctx)
        except ValueError:
            self.fail(f"{text!r} is neither a digest, nor NAMESPACE/NAME, nor an artifact's id", param, ctx)


class DigestType(click.ParamType[Digest]):
    """Parses a digest."""

    name = "digest"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Digest:
        """`blake3:<hex>` or `sha256:<hex>`."""
        try:
            return value if isinstance(value, Digest) else Digest.parse(str(value))
        except InvalidInputError as error:
            self.fail(error.detail, param, ctx)


class MomentType(click.ParamType[datetime]):
    """Parses a time."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """RFC 3339, with a time zone."""
        try:
            return value if isinstance(value, datetime) else parse_time(str(value), field="it")
        except InvalidInputError as error:
            self.fail(error.detail.partition(";")[0], param, ctx)


ADDRESS = AddressType()
DIGEST = DigestType()
MOMENT = MomentType()
