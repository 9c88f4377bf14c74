"""`kinolex keys`: create and manage API keys. A running service follows within a second."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import read_settings
from app.cli.storage import print_database

if TYPE_CHECKING:
    from datetime import datetime

    from app.access.management import IssuedKey
    from app.store.access import ApiKey, KeyStore

cli = typer.Typer(
    help="Create and manage API keys. Once there is one, every request needs a key.",
    no_args_is_help=True,
)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the key, as `list` prints it.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Limit of the key. Default: none.")]


@cli.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is used by.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What the key may do: classify, labels:read, labels:write, archive, or admin "
            "(manage keys over HTTP); may be repeated."
        ),
    ] = None,
    label_set: Annotated[
        list[str] | None,
        typer.Option(help="Label set that the key covers; may be repeated. Default: every set."),
    ] = None,
    requests_per_minute: LimitOption = None,
    requests_per_day: LimitOption = None,
    video_seconds_per_minute: LimitOption = None,
    video_seconds_per_day: LimitOption = None,
) -> None:
    """Create a key and print it. It cannot be printed again."""
    from app.access.management import create_key
    from app.routes.schemas.keys import CreateKey

    with _key_store() as store:
        limits = {
            "requests_per_minute": requests_per_minute,
            "requests_per_day": requests_per_day,
            "video_seconds_per_minute": video_seconds_per_minute,
            "video_seconds_per_day": video_seconds_per_day,
        }
        wanted = CreateKey.model_validate(
            {"name": name, "scopes": scope or [], "label_sets": label_set, "limits": limits}
        )
        issued = create_key(store, wanted.name, wanted.rights, by=None)
    _print_issued(issued)


@cli.command("list")
def list_all() -> None:
    """List the keys, revoked ones included."""
    from app.access.management import list_keys

    with _key_store() as store:
        keys = list_keys(store, by=None, after="", limit=1_000_000)
    _print_table(keys)


@cli.command()
def rotate(
    key_id: IdArgument,
    overlap_hours: Annotated[
        float,
        typer.Option(min=0, max=2160, help="Hours for which the present key is still accepted."),
    ] = 24,
) -> None:
    """Replace a key by a new one with the same id and rights, and print it."""
    from datetime import timedelta

    from app.access.management import rotate_key

    with _key_store() as store:
        issued = rotate_key(store, key_id, overlap=timedelta(hours=overlap_hours), by=None)
    _print_issued(issued)


@cli.command()
def revoke(key_id: IdArgument) -> None:
    """Refuse a key from now on."""
    from app.access.management import revoke_key

    with _key_store() as store:
        revoked = revoke_key(store, key_id, by=None)
    typer.echo(f"revoked {revoked.id} ({revoked.name})", err=True)


def _print_issued(issued: "IssuedKey") -> None:
    # only the key goes to stdout, so that a script can read it
    typer.echo(issued.token.text)
    typer.echo(f"id {issued.key.id} ({issued.key.name}). Keep the key: only its", err=True)
    typer.echo("digest is stored. Send it as: Authorization: Bearer <key>", err=True)
    if issued.key.former_until is not None:
        until = issued.key.former_until.isoformat(timespec="seconds")
        typer.echo(f"The former key is accepted until {until}.", err=True)


def _print_table(keys: "Iterable[ApiKey]") -> None:
    from rich.text import Text

    from app.cli.tables import open_table, stdout_console

    columns = ("id", "name", "scopes", "label sets", "limits", "last used", "state")
    table = open_table(*columns, whole="id")
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
    stdout_console().print(table)


def _date(time: "datetime | None") -> str:
    return "" if time is None else time.isoformat(sep=" ", timespec="minutes")


@contextmanager
def _key_store() -> "Generator[KeyStore]":
    """Open the keys of the configured database; print expected errors and exit with code 1."""
    from pydantic import ValidationError

    from app.store.access import KeyStore
    from model import KinolexError

    settings = read_settings()
    print_database(settings)
    try:
        store = KeyStore.open(settings.store_url)
        try:
            yield store
        finally:
            store.close()
    except ValidationError as error:
        for fault in error.errors():
            typer.echo(f"{fault['loc'][0]}: {fault['msg']}", err=True)
        raise typer.Exit(1) from error
    except KinolexError as error:
        typer.echo(f"{error} ({error.code})", err=True)
        raise typer.Exit(1) from error
