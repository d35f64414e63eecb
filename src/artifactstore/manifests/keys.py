"""The keys that signatures of statements are verified with, as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from artifactstore.domain.errors import ConfigurationError
from artifactstore.manifests.dsse import PublicKey


def load_keys(paths: Iterable[Path]) -> tuple[PublicKey, ...]:
    """The public keys of PEM files, and of the files `*.pem` of directories, each once. Blocking.

    ConfigurationError names the file that cannot be read or holds no such key, and the directory that has none.
    """
    keys: dict[str, PublicKey] = {}
    for path in _files(paths):
        try:
            key = PublicKey.load(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"the key {path} cannot be read: {error.strerror}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error.detail}") from None
        keys[key.keyid] = key
    return tuple(keys.values())


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(path.glob("*.pem"))
        if not found:
            raise ConfigurationError(f"there is no key *.pem in {path}")
        yield from found
