"""Who asks, and what they may: the one rule of access, for the library as for HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from artifactstore.domain.errors import ForbiddenError
from artifactstore.domain.names import actor_name
from artifactstore.domain.token import EVERY, Scope, Token


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever acts. Without a token they may everything: the owner of a root, and everybody where tokens are off."""

    actor: str  # as events name them
    token: Token | None = None

    @classmethod
    def named(cls, actor: str) -> Caller:
        """A caller who may everything."""
        return cls(actor_name(actor))

    @classmethod
    def holding(cls, token: Token) -> Caller:
        """The holder of a token, which is in force."""
        return cls(actor_name(f"token:{token.name}"), token)

    def require(self, scope: Scope, namespace: str | None = None) -> None:
        """ForbiddenError unless they may `scope` in the namespace; None: in every one. What is stored plays no part."""
        if self.token is None or self.token.may(scope, namespace):
            return
        self._require_scope(scope)
        where = "every namespace: it needs the namespace *" if namespace is None else f"the namespace {namespace}"
        raise ForbiddenError(f"the token does not reach {where}; use one that does", field="namespace")

    def within(self, scope: Scope) -> frozenset[str] | None:
        """The namespaces in which they may `scope`; None: every one. ForbiddenError: in none."""
        if self.token is None:
            return None
        self._require_scope(scope)
        return None if EVERY in self.token.namespaces else self.token.namespaces

    def _require_scope(self, scope: Scope) -> None:
        if self.token is not None and not self.token.grants(scope):
            raise ForbiddenError(f"the token has not the scope {scope}; use one that has", field="scope")

    def reaches(self, scope: Scope, namespace: str) -> bool:
        """Whether they may `scope` in a namespace that an id or a digest led to. ForbiddenError: in none."""
        within = self.within(scope)
        return within is None or namespace in within
