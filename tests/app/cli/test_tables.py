"""Tables of commands: whole on a pipe, folded to the width of a terminal."""

import pytest

from app.cli.tables import open_table, stdout_console

JOB_ID = "0123456789abcdef" * 2


def test_an_id_is_whole_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    table = open_table("id", "label", whole="id")
    table.add_row(JOB_ID, "juggling" * 9)

    stdout_console().print(table)

    shown = capsys.readouterr().out
    assert JOB_ID in shown
    assert "…" not in shown
    assert shown.count("\n") > 2


def test_a_name_without_spaces_is_not_cut_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    name = "自転車に乗る" * 20
    table = open_table("label", "prompts")
    table.add_row(name, "")

    stdout_console().print(table)

    assert name in capsys.readouterr().out
