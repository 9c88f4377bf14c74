"""Stores API keys in the label database, and counts their use there."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Connection, Engine, Row, insert, or_, select, update

from app.store.access.records import ApiKey, KeyNotFound, Limits, Pool, Rights, Taken, Want
from app.store.access.tables import KEYS
from app.store.access.use import take
from app.store.database import alone, migrate, open_engine, reading, writing

_NOT_FOUND = "no active API key has this id"


class KeyStore:
    """API keys in a database; thread-safe. Secrets are never stored, only their digests.

    Methods block on the disk: call them from a worker thread. All raise StoreUnavailable when the
    database does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, database_url: str) -> Self:
        """Open the database, and create or migrate its tables. Raises StoreMismatch."""
        engine = open_engine(database_url)
        try:
            with alone(engine, "start"):
                migrate(engine)
        except BaseException:  # close the connections first, also when interrupted
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Close the connections; only for a store from `open`."""
        self._engine.dispose()

    def has_keys(self) -> bool:
        """Whether a key was ever created, revoked ones included."""
        with reading(self._engine) as connection:
            return connection.execute(select(KEYS.c.id).limit(1)).first() is not None

    def find(self, key_id: str) -> ApiKey | None:
        """Return the key with this id, also if it is revoked; None if there is none."""
        with reading(self._engine) as connection:
            row = _row(connection, key_id)
            return None if row is None else _key(row, _pools(connection, row))

    def page(self, *, after: str = "", limit: int = 100) -> list[ApiKey]:
        """Return up to `limit` keys with ids after `after`, sorted by id, revoked ones included."""
        statement = select(KEYS).where(KEYS.c.id > after).order_by(KEYS.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [_key(row) for row in connection.execute(statement)]

    def create(
        self,
        key_id: str,
        name: str,
        rights: Rights,
        *,
        digest: str,
        created_by: str | None = None,
    ) -> ApiKey:
        """Store a new key with the SHA-256 of its secret.

        It shares the limits of its creator, the key with the id `created_by`. Raises KeyNotFound if
        that key is not active.
        """
        limits = rights.limits
        values = {
            "id": key_id,
            "name": name,
            "digest": digest,
            "scopes": sorted(rights.scopes),
            "label_sets": None if rights.label_sets is None else sorted(rights.label_sets),
            "requests_per_minute": limits.requests_per_minute,
            "requests_per_day": limits.requests_per_day,
            "video_seconds_per_minute": limits.video_seconds_per_minute,
            "video_seconds_per_day": limits.video_seconds_per_day,
            "created_by": created_by,
            "created_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            values["limited_by"] = _limited_by(connection, created_by)
            row = connection.execute(insert(KEYS).values(values).returning(*KEYS.columns)).one()
            return _key(row, _pools(connection, row))

    def rotate(self, key_id: str, *, digest: str, former_until: datetime) -> ApiKey:
        """Give a key a new secret; the present one is accepted until `former_until`.

        A secret before the present one is no longer accepted. Raises KeyNotFound.
        """
        changes = {
            "digest": digest,
            # the right side of a SET is the row before the update
            "former_digest": KEYS.c.digest,
            "former_until": former_until,
            "rotated_at": datetime.now(UTC),
        }
        return self._change(key_id, changes)

    def revoke(self, key_id: str) -> ApiKey:
        """Refuse a key from now on. Raises KeyNotFound, also if it is revoked already."""
        return self._change(key_id, {"revoked_at": datetime.now(UTC)})

    def note_use(self, used_at: Mapping[str, datetime]) -> None:
        """Store when keys were last used, by id; an earlier time than the stored one is ignored."""
        with writing(self._engine) as connection:
            for key_id, at in sorted(used_at.items()):
                is_earlier = or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < at)
                connection.execute(
                    update(KEYS).where(KEYS.c.id == key_id, is_earlier).values(last_used_at=at)
                )

    def take(self, wants: Sequence[Want]) -> list[Taken]:
        """Take units from quotas: from all, or from none. Raises Refused for one that is used up.

        A quota gives what is needed while any of it is left, so that one video may exceed it; the
        excess is subtracted from the next windows.
        """
        with writing(self._engine) as connection:
            return take(connection, wants)

    def _change(self, key_id: str, changes: Mapping[str, Any]) -> ApiKey:
        is_active = KEYS.c.revoked_at.is_(None)
        with writing(self._engine) as connection:
            row = connection.execute(
                update(KEYS)
                .where(KEYS.c.id == key_id, is_active)
                .values(**changes)
                .returning(*KEYS.columns)
            ).one_or_none()
            if row is None:
                raise KeyNotFound(_NOT_FOUND)
            return _key(row, _pools(connection, row))


def _row(connection: Connection, key_id: str) -> Row[Any] | None:
    return connection.execute(select(KEYS).where(KEYS.c.id == key_id)).one_or_none()


def _limited_by(connection: Connection, creator_id: str | None) -> list[str]:
    """Return the ids of the keys whose limits a new key shares. Raises KeyNotFound."""
    if creator_id is None:
        return []
    creator = _row(connection, creator_id)
    if creator is None or creator.revoked_at is not None:
        raise KeyNotFound(_NOT_FOUND)
    return [pool.key_id for pool in _pools(connection, creator)]


def _pools(connection: Connection, row: Row[Any]) -> tuple[Pool, ...]:
    """Return the limits of a key, and those of the limited keys that it comes from."""
    rows = [row]
    if row.limited_by:
        rows += connection.execute(select(KEYS).where(KEYS.c.id.in_(row.limited_by)))
    named = ((each.id, _limits(each).quotas()) for each in rows)
    return tuple(Pool(key_id, quotas) for key_id, quotas in named if quotas)


def _limits(row: Row[Any]) -> Limits:
    return Limits(
        row.requests_per_minute,
        row.requests_per_day,
        row.video_seconds_per_minute,
        row.video_seconds_per_day,
    )


def _key(row: Row[Any], pools: tuple[Pool, ...] = ()) -> ApiKey:
    label_sets = None if row.label_sets is None else frozenset(row.label_sets)
    return ApiKey(
        id=row.id,
        name=row.name,
        rights=Rights(frozenset(row.scopes), label_sets, _limits(row)),
        created_at=row.created_at,
        created_by=row.created_by,
        rotated_at=row.rotated_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        former_until=row.former_until,
        digest=row.digest,
        former_digest=row.former_digest,
        pools=pools,
    )
