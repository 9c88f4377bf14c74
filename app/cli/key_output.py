"""Output of `kinolex keys list`: a table on stdout."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.store.access import ApiKey


def print_keys(keys: Iterable[ApiKey]) -> None:
    """Print a table of keys."""
    table = Table(
        "id", "name", "scopes", "label sets", "limits", "last used", "state",
        box=None, header_style="bold",
    )  # fmt: skip
    for key in keys:
        sets = key.rights.label_sets
        table.add_row(
            key.id,
            Text(key.name),
            ", ".join(sorted(key.rights.scopes)),
            "all" if sets is None else ", ".join(sorted(sets)),
            ", ".join(f"{quota.name}: {quota.limit}" for quota in key.rights.limits.quotas()),
            _date(key.last_used_at) or "never",
            f"revoked {_date(key.revoked_at)}" if key.revoked_at else "active",
        )
    Console().print(table)


def _date(time: datetime | None) -> str:
    return "" if time is None else time.isoformat(sep=" ", timespec="minutes")
