"""`kinolex keys` on a database of its own: the secret is printed once, a service follows."""

from pathlib import Path

import pytest

from app.access.tokens import read_token
from app.store.access import Limits
from app.store.access.key_store import KeyStore
from tests.app.cli.command_line import kinolex, plain


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KINOLEX_DATA_DIR", str(tmp_path / "data"))
    return f"sqlite:///{tmp_path / 'data' / 'labels.sqlite'}"


def create(*options: object) -> str:
    outcome = kinolex("keys", "create", *options)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout.strip()


def test_create_prints_the_key_alone_on_stdout(url: str) -> None:
    text = create(
        "the shop", "--scope", "classify", "--scope", "labels:read", "--label-set", "sports",
        "--requests-per-minute", 600,
    )  # fmt: skip

    token = read_token(text)
    assert token is not None
    store = KeyStore.open(url)
    key = store.find(token.key_id)
    store.close()
    assert key is not None
    assert key.digest == token.digest
    assert key.name == "the shop"
    assert key.rights.scopes == frozenset(["classify", "labels:read"])
    assert key.rights.label_sets == frozenset(["sports"])
    assert key.rights.limits == Limits(requests_per_minute=600)


def test_a_listed_key_is_whole_and_on_one_line_of_a_pipe() -> None:
    name = "the nightly importer of the north camera"
    scopes = ("archive", "classify", "labels:read", "labels:write")
    token = read_token(create(name, *(word for scope in scopes for word in ("--scope", scope))))
    assert token is not None

    [line] = kinolex("keys", "list").stdout.splitlines()[1:]

    assert token.key_id in line
    assert name in line
    assert ", ".join(scopes) in line


def test_list_shows_rights_and_state_but_no_secret() -> None:
    token = read_token(create("the [shop]", "--scope", "admin", "--video-seconds-per-day", 3600))
    assert token is not None
    kinolex("keys", "revoke", token.key_id)
    create("another")

    listed = kinolex("keys", "list")

    shown = plain(listed.stdout)
    for text in (token.key_id, "the [shop]", "admin", "video-seconds-per-day: 3600", "never"):
        assert text in shown
    assert "revoked 20" in shown
    assert "active" in shown
    assert token.secret not in shown


def test_rotate_prints_a_new_key_with_the_same_id() -> None:
    first = read_token(create("the shop"))
    assert first is not None

    rotated = kinolex("keys", "rotate", first.key_id, "--overlap-hours", "1")

    second = read_token(rotated.stdout.strip())
    assert second is not None
    assert second.key_id == first.key_id
    assert second.secret != first.secret
    assert "The former key is accepted until 20" in rotated.stderr


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_an_unknown_key_is_an_error_on_one_line(command: str) -> None:
    outcome = kinolex("keys", command, "0" * 12)

    assert outcome.exit_code == 1
    # the line before it names the database
    assert outcome.stderr.splitlines()[1:] == ["no API key has this id (key_not_found)"]


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["x", "--scope", "root"], 1, "scopes: Input should be 'classify'"),
        (["x", "--requests-per-day", "0"], 2, "--requests-per-day"),
        (["x", "--label-set", "a/b"], 1, "label_sets"),
        ([""], 1, "name"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(options: list[str], exit_code: int, message: str) -> None:
    outcome = kinolex("keys", "create", *options)

    assert outcome.exit_code == exit_code
    assert message in outcome.stderr
    assert not outcome.stdout
