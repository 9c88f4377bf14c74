"""The SQL that takes units from quotas, so that all processes together stay within them."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from app.store.access.records import Refused, Taken, Want
from app.store.access.tables import USE
from app.store.writes import insert_into


def take(connection: Connection, wants: Sequence[Want]) -> list[Taken]:
    """Take units from several quotas: from all of them, or from none.

    A quota gives what is needed while any of it is left, so that one video may exceed it; the
    excess is subtracted from the next windows. Raises Refused for the first quota that is used up:
    the caller's transaction must then be rolled back.
    """
    taken: dict[Want, Taken] = {}
    # in one order, so that two transactions cannot wait for each other
    for want in sorted(wants, key=lambda want: (want.key_id, want.quota.name)):
        taken[want] = _take_one(connection, want)
    return [taken[want] for want in wants]


def _take_one(connection: Connection, want: Want) -> Taken:
    limit = want.quota.limit
    used, window = _locked_use(connection, want)
    if window < want.window:
        used = max(0.0, used - limit * (want.window - window))
        window = want.window
    if used >= limit and not want.holds_some:
        raise Refused(want, used, window)
    units = max(want.need, min(want.hope, limit - used))
    connection.execute(
        update(USE)
        .where(USE.c.key_id == want.key_id, USE.c.quota == want.quota.name)
        .values(used=used + units, window=window)
    )
    return Taken(units, used + units, window)


def _locked_use(connection: Connection, want: Want) -> tuple[float, int]:
    """Return what is used and in which window; lock the row until the transaction ends."""
    connection.execute(
        insert_into(connection, USE)
        .values(key_id=want.key_id, quota=want.quota.name, window=want.window, used=0.0)
        .on_conflict_do_nothing()
    )
    row = connection.execute(
        select(USE.c.used, USE.c.window)
        .where(USE.c.key_id == want.key_id, USE.c.quota == want.quota.name)
        .with_for_update()
    ).one()
    return row.used, row.window
