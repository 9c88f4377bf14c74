"""What commands say about the database that they work on."""

from pathlib import Path

import pytest

from app.cli.storage import print_database
from app.lifecycle.serving import address_of_service, hold_folder
from app.settings import Settings


def said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_database(settings)
    out, err = capsys.readouterr()
    assert not out
    return err.splitlines()


def test_the_path_of_the_database_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(Settings(), capsys) == [f"database: {tmp_path}/share/kinolex/labels.sqlite"]
    elsewhere = Settings(database_url="postgresql://user:secret@db/kinolex")
    assert said(elsewhere, capsys) == ["database: the one of KINOLEX_DATABASE_URL"]


def test_a_service_that_uses_the_folder_is_named_until_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=tmp_path / "new")

    with hold_folder(settings.data_dir, "http://127.0.0.1:8000"):
        assert said(settings, capsys) == [
            f"database: {tmp_path}/new/labels.sqlite, "
            "in use by the service at http://127.0.0.1:8000"
        ]
    assert said(settings, capsys) == [f"database: {tmp_path}/new/labels.sqlite"]


def test_a_folder_that_cannot_be_written_to_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with hold_folder(tmp_path / "file" / "data", "http://127.0.0.1:8000"):
        assert address_of_service(tmp_path / "file" / "data") is None


def test_the_database_of_an_earlier_version_is_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.sqlite").touch()

    _, note = said(Settings(), capsys)
    assert note.startswith(f"note: {tmp_path}/data/labels.sqlite, of an earlier version, is not")
    assert "KINOLEX_DATA_DIR=data" in note

    monkeypatch.setenv("KINOLEX_DATA_DIR", "data")
    assert said(Settings(), capsys) == [f"database: {tmp_path}/data/labels.sqlite"]
