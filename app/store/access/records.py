"""Values of API keys: rights, limits, and what is taken from a quota."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from model import KinolexError

Scope: TypeAlias = Literal["classify", "labels:read", "labels:write", "archive", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

MINUTE, DAY = 60, 86_400


class KeyNotFound(KinolexError):
    """No active API key has this id."""

    code = "key_not_found"


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` units in each window of `seconds`; windows start at multiples since 1970.

    `name` is that of the field of `Limits`, with hyphens.
    """

    name: str
    limit: int
    seconds: int

    @property
    def counts_video(self) -> bool:
        """Whether the units are seconds of video, and not requests."""
        return self.name.startswith("video")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a key may use; None: no limit. Days are those of UTC."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    video_seconds_per_minute: int | None = None
    video_seconds_per_day: int | None = None

    def within(self, other: "Limits") -> bool:
        """Whether no limit is higher than the other's."""
        pairs = zip(self._values(), other._values(), strict=True)
        return all(top is None or (own is not None and own <= top) for own, top in pairs)

    def quotas(self) -> tuple[Quota, ...]:
        """Return the limits that are set."""
        named = zip(self.__slots__, self._values(), strict=True)
        return tuple(
            Quota(name.replace("_", "-"), limit, MINUTE if name.endswith("minute") else DAY)
            for name, limit in named
            if limit is not None
        )

    def _values(self) -> Iterator[int | None]:
        return (getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do. `label_sets` None: every label set."""

    scopes: frozenset[Scope]
    label_sets: frozenset[str] | None = None
    limits: Limits = Limits()

    def within(self, other: "Rights") -> bool:
        """Whether the other rights allow everything that these allow."""
        return (
            self.scopes <= other.scopes
            and self.limits.within(other.limits)
            and (
                other.label_sets is None
                or (self.label_sets is not None and self.label_sets <= other.label_sets)
            )
        )


@dataclass(frozen=True, slots=True)
class Pool:
    """Quotas that are counted together under the id of a key."""

    key_id: str
    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored API key.

    `digest` and `former_digest` are SHA-256 in hex of the current secret and of the one before the
    latest rotation; the latter is accepted until `former_until`. `pools` has the limits of the key
    itself and of the keys that it comes from; it is empty in a list of keys.
    """

    id: str
    name: str
    rights: Rights
    created_at: datetime
    created_by: str | None = None
    rotated_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    former_until: datetime | None = None
    digest: str = field(default="", repr=False)
    former_digest: str | None = field(default=None, repr=False)
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """A request for units of a quota in a window: at least `need`, up to `hope` if it has them.

    `holds_some`: the caller has taken units in this window before and not used them. It then gets
    what it needs also from a quota that is used up.
    """

    key_id: str
    quota: Quota
    window: int
    need: float
    hope: float
    holds_some: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Units taken from a quota; `used` of its limit are used in `window`, these included."""

    units: float
    used: float
    window: int


class Refused(Exception):
    """A quota is used up in `window`; `used` may exceed the limit by a part of one video."""

    def __init__(self, want: Want, used: float, window: int) -> None:
        super().__init__(f"{want.quota.name} is used up")
        self.want = want
        self.used = used
        self.window = window
