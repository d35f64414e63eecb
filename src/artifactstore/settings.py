"""Configuration, read in one place: flags over `ARTIFACTSTORE_*` variables over `.env` over the defaults here."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from artifactstore.domain import names
from artifactstore.domain.errors import ConfigurationError, InvalidInputError
from artifactstore.domain.token import EVERY
from artifactstore.domain.usage import Quota, Quotas
from artifactstore.logs import LogFormat

TokenRule = Literal["auto", "required", "off"]
LogLevel = Literal["debug", "info", "warning", "error"]


#: On a full disk the database has to grow once by what is in the WAL alone before deletions need no more space: by
#: 3.5 MiB after 3,000 uploads, 500 at a time (ADR-0013).
LEAST_RESERVE_BYTES = 4 * 2**20


class NamespaceQuota(BaseModel):
    """The most that a namespace may hold; what is not said is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int | None = Field(default=None, ge=0)
    objects: int | None = Field(default=None, ge=0)


class Settings(BaseSettings):
    """Everything that can be set. Sizes are in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="ARTIFACTSTORE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    root: Path = Path("var")
    server: str | None = None  # what commands talk to instead of a root
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)  # processes that share the port
    insecure: bool = False
    tokens: TokenRule = "auto"
    token: str | None = Field(default=None, repr=False)  # what commands show to a server
    max_object_bytes: int | None = Field(default=None, ge=0)
    quotas: Annotated[dict[str, NamespaceQuota], NoDecode] = {}  # by namespace, or "*" for all others
    floor_bytes: int = Field(default=64 * 2**20, ge=0)
    answers_kept: float = Field(default=24 * 3600.0, gt=0, le=366 * 24 * 3600.0)  # of requests with a key
    log_reserve_bytes: int = 16 * 2**20
    cache_bytes: int = Field(default=64 * 2**20, ge=0)
    attestation_keys: Annotated[tuple[Path, ...], NoDecode] = ()  # PEM files, and directories of them
    refuse_bad_signatures: bool = True
    retrieval_interval: float = Field(default=10.0, gt=0)
    head_timeout: float = Field(default=20.0, gt=0)
    body_timeout: float = Field(default=60.0, gt=0)
    min_body_rate: int = Field(default=1024, ge=0)
    send_timeout: float = Field(default=60.0, gt=0)
    keepalive_timeout: float = Field(default=75.0, gt=0)
    max_connections: int = Field(default=2048, ge=1)
    max_uploads_per_client: int = Field(default=256, ge=1)
    # a target holds the longest name, each of its bytes as an escape, and a query
    max_target_bytes: int = Field(default=8190, ge=4096)
    # a field holds the largest provenance, and half of it as escapes
    max_field_bytes: int = Field(default=131072, ge=8191)
    max_fields: int = Field(default=128, ge=16)
    max_head_bytes: int = Field(default=262144, ge=16384)
    max_framing_bytes: int = Field(default=1048576, ge=0)
    stop_delay: float = Field(default=0.0, ge=0)
    stop_timeout: float = Field(default=30.0, ge=0)
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    access_log: bool = False

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Read the settings; a flag that is None was not given.

        The first one at fault is named: by InvalidInputError if it is a flag, else by ConfigurationError.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            if name in given:
                raise InvalidInputError(f"{name}: {first['msg']}", field=name) from None
            raise ConfigurationError(f"ARTIFACTSTORE_{name.upper()}: {first['msg']}") from None
        except UnicodeDecodeError:
            raise ConfigurationError("the file .env is not UTF-8") from None

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        return host.removeprefix("[").removesuffix("]")  # as addresses of IPv6 are written in URLs

    @field_validator("attestation_keys", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @field_validator("quotas", mode="before")
    @classmethod
    def _document(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise PydanticCustomError("quotas", "this is no JSON") from None

    @field_validator("quotas")
    @classmethod
    def _of_namespaces(cls, quotas: dict[str, NamespaceQuota]) -> dict[str, NamespaceQuota]:
        for namespace in quotas:
            if namespace != EVERY:
                try:
                    names.check_namespace(namespace)
                except InvalidInputError as error:
                    raise PydanticCustomError("quotas", "{reason}", {"reason": str(error)}) from None
        return quotas

    @property
    def namespace_quotas(self) -> Quotas:
        """The quotas as the store keeps them."""
        return Quotas({name: Quota(item.objects, item.bytes) for name, item in self.quotas.items()})

    @field_validator("log_reserve_bytes")
    @classmethod
    def _lasting(cls, reserve_bytes: int) -> int:
        if reserve_bytes < LEAST_RESERVE_BYTES:
            raise PydanticCustomError(
                "log_reserve_bytes",
                "less than {least} bytes (4 MiB) does not last for deletions on a full disk",
                {"least": LEAST_RESERVE_BYTES},
            )
        return reserve_bytes

    @property
    def require_tokens(self) -> bool:
        """Whether requests need a token: by default, wherever others than this machine can send them."""
        if self.tokens == "auto":
            return not self.insecure and not _is_loopback(self.host)
        return self.tokens == "required"

    def refuse_exposure(self) -> None:
        """Listening on anything but loopback, without tokens, needs the operator's word for it."""
        if not self.require_tokens and not self.insecure and not _is_loopback(self.host):
            raise ConfigurationError(
                f"{self.host} is not a loopback address and ARTIFACTSTORE_TOKENS is off: anybody who reaches it could "
                "read, write and delete; say --insecure if that is meant"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
