"""What one request may do."""

from dataclasses import dataclass

from app.access.errors import LabelSetNotAllowed, ScopeMissing
from app.store.access import SCOPES, ApiKey, Pool, Rights, Scope


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of a request; `key` is None for a client that needs no key."""

    rights: Rights
    key: ApiKey | None = None

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The quotas that the request uses."""
        return () if self.key is None else self.key.pools

    def check_scope(self, scope: Scope) -> None:
        """Raise ScopeMissing unless the request has the scope."""
        if scope in self.rights.scopes:
            return
        if self.key is None:
            raise ScopeMissing(
                f"a client without an API key never has the scope {scope}; create a key with it: "
                f"kinolex keys create NAME --scope {scope}"
            )
        raise ScopeMissing(f"the API key lacks the scope {scope}")

    def allows_label_set(self, name: str) -> bool:
        """Whether the request may use the label set."""
        return self.rights.label_sets is None or name in self.rights.label_sets

    def check_label_set(self, name: str) -> None:
        """Raise LabelSetNotAllowed unless the request may use the label set."""
        if not self.allows_label_set(name):
            raise LabelSetNotAllowed(
                f"the API key does not cover the label set {name!r}; name one that it covers"
            )


# The first key is made on the command line: no client can lock others out, or take over, over HTTP.
KEYLESS = Grant(Rights(frozenset(SCOPES) - {"admin"}))
NOBODY = Grant(Rights(frozenset()))
