"""How much a namespace holds, and how much it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from artifactstore.domain.errors import QuotaExceededError
from artifactstore.domain.token import EVERY


@dataclass(frozen=True, slots=True)
class Usage:
    """What counts against a namespace's quota.

    Each version of a name that is not deleted counts, and each object that was uploaded bare, with its full size: that
    bytes are shared with others, or with another version, is the store's gain and nobody's quota.
    """

    namespace: str
    objects: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a namespace may hold; None is no limit."""

    objects: int | None = None
    size_bytes: int | None = None

    def check(self, used: Usage, size_bytes: int) -> None:
        """QuotaExceededError if there is no room for one more of that size."""
        if self.objects is not None and used.objects + 1 > self.objects:
            raise QuotaExceededError(f"the namespace {used.namespace} holds the {self.objects} objects that it may")
        if self.size_bytes is not None and used.size_bytes + size_bytes > self.size_bytes:
            left = max(0, self.size_bytes - used.size_bytes)
            raise QuotaExceededError(
                f"the namespace {used.namespace} may hold {self.size_bytes} bytes: {left} are left, {size_bytes} are "
                "wanted; delete what is not needed"
            )


@dataclass(frozen=True, slots=True)
class Quotas:
    """Quotas by namespace; that of `*` is for each namespace without one of its own."""

    by_namespace: Mapping[str, Quota] = field(default_factory=dict)

    def of(self, namespace: str) -> Quota | None:
        """The namespace's quota, None if it may hold whatever the disk holds."""
        return self.by_namespace.get(namespace, self.by_namespace.get(EVERY))
