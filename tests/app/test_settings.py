"""Settings: where they come from, what they refuse, where they are written down."""

import pytest
from pydantic import ValidationError

from app.settings import PREFIX, Settings, unknown_variables
from tests.support.configuration_page import page
from tests.support.paths import ROOT


def test_every_setting_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLEX_MAX_UPLOAD_BYTES", "12345")
    monkeypatch.setenv("KINOLEX_DATA_DIR", "/somewhere")
    monkeypatch.setenv("KINOLEX_ALLOWED_HOSTS", "Tags.example, *.intern.example,")

    settings = Settings()

    assert settings.max_upload_bytes == 12345
    assert settings.store_url == "sqlite:////somewhere/labels.sqlite"
    assert settings.allowed_hosts == ("tags.example", "*.intern.example")


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        ("/shared", "/shared/kinolex"),
        ("not/absolute", "/me/.local/share/kinolex"),
        ("", "/me/.local/share/kinolex"),
    ],
)
def test_data_are_in_the_users_data_folder(
    named: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/me")
    monkeypatch.setenv("XDG_DATA_HOME", named)

    assert str(Settings().data_dir) == folder


def test_a_variable_that_is_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    # `KINOLEX_PORT=${PORT:-}` in a compose file gives an empty value
    monkeypatch.setenv("KINOLEX_PORT", "")

    assert Settings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("DEVICE", "gpu"),
        ("MAX_UPLOAD_BYTES", "-1"),
        ("REQUEST_TIMEOUT_SECONDS", "0"),
        ("STRIDE_SECONDS", "1000"),
        ("LOG_LEVEL", "loud"),
        ("KEEP_DAYS", "999999"),
        ("JOB_DAYS", "inf"),
    ],
)
def test_a_value_out_of_bounds_stops_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, value)

    with pytest.raises(ValidationError):
        Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


def test_a_misspelt_variable_is_reported_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KINOLEX_MAX_UPLAOD_BYTES", "5")
    monkeypatch.setenv("KINOLEX_PORT", "9000")

    assert unknown_variables() == [
        "KINOLEX_MAX_UPLAOD_BYTES is not a setting; did you mean KINOLEX_MAX_UPLOAD_BYTES?"
    ]


def test_a_password_in_the_databases_address_is_not_shown() -> None:
    assert "secret" not in repr(Settings(database_url="postgresql://user:secret@db/kinolex"))


def test_every_setting_is_described() -> None:
    assert [name for name, f in Settings.model_fields.items() if not f.description] == []


def test_the_page_of_settings_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert written == page(), "python -m tests.support.configuration_page > docs/configuration.md"
