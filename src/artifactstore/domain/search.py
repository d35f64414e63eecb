"""What a search for artifacts asks, and the rules that it keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.domain.times import in_utc

_MAX_SIZE = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTerms:
    """What must hold of an artifact; None, or no label, asks nothing."""

    namespace: str | None = None
    name: str | None = None
    name_prefix: str | None = None
    kind: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()  # a key and its value, or None for any value
    media_type: str | None = None
    digest: Digest | None = None
    size_min: int | None = None
    size_max: int | None = None
    created_after: datetime | None = None  # belongs to the range
    created_before: datetime | None = None  # does not

    def checked(self) -> SearchTerms:
        """The same, its times in UTC. InvalidNameError, InvalidMetadataError, InvalidQueryError name the term."""
        names.check_search(self.namespace, self.name, self.name_prefix)
        if self.kind is not None:
            names.check_kind(self.kind)
        if self.media_type is not None:
            names.check_media_type(self.media_type)
        if len(self.labels) > names.MAX_LABELS:
            raise InvalidQueryError(f"a search asks for at most {names.MAX_LABELS} labels", field="labels")
        for key, value in self.labels:
            names.check_labels([(key, value or "")])
        for field, size in (("size_min", self.size_min), ("size_max", self.size_max)):
            if size is not None and not 0 <= size <= _MAX_SIZE:
                raise InvalidQueryError(f"{field} is a whole number from 0 to {_MAX_SIZE}", field=field)
        after, before = self.created_after, self.created_before
        return replace(
            self,
            created_after=None if after is None else in_utc(after, field="created_after"),
            created_before=None if before is None else in_utc(before, field="created_before"),
        )
