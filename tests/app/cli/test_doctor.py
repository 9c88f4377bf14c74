"""`kinolex doctor`: what it finds on this computer, and in settings that are wrong."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.cli.doctor import machine, service
from app.cli.doctor.findings import Finding, table, verdict
from app.settings import Settings
from tests.app.cli.command_line import kinolex


def test_a_computer_that_serves_is_described_and_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINOLEX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KINOLEX_DEVICE", "cpu")

    outcome = kinolex("doctor", "--json")

    assert outcome.exit_code == 0, outcome.output
    assert outcome.stderr.strip() == "Kinolex can serve here."
    found: dict[str, dict[str, Any]] = {one["subject"]: one for one in json.loads(outcome.stdout)}
    assert {one["state"] for one in found.values()} <= {"ok", "note"}
    assert found["checkpoint"]["text"].startswith("kinolex-everyday ")
    assert found["device"]["text"] == "cpu"
    assert "made at the first start" in found["data folder"]["text"]
    assert found["extra openvino"]["state"] == "ok"
    assert not (tmp_path / "data").exists()


def test_problems_end_with_status_1_and_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("KINOLEX_DATA_DIR", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("KINOLEX_DEVICE", "cpu")
    monkeypatch.setenv("KINOLEX_CHECKPOINT", str(tmp_path))
    monkeypatch.setenv("KINOLEX_DEVIZE", "cpu")

    outcome = kinolex("doctor")

    assert outcome.exit_code == 1
    assert outcome.stderr.strip() == "Kinolex cannot serve here: data folder, checkpoint"
    assert "did you mean KINOLEX_DEVICE?" in outcome.stdout
    assert "-> change its owner, or set KINOLEX_DATA_DIR" in outcome.stdout


def test_a_database_that_is_none_is_a_problem(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert service.database(settings).state == "ok"
    (tmp_path / "labels.sqlite").write_bytes(b"this is no database" * 100)

    assert service.database(settings).state == "problem"


def test_a_database_that_answers_is_fine(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "labels.sqlite").execute("CREATE TABLE one (a)").close()

    assert service.database(Settings(data_dir=tmp_path)).text == "sqlite answers"


def test_an_extra_that_is_missing_comes_with_the_command_that_adds_it() -> None:
    missing = machine.missing_extra("none", "kinolex_has_no_such_module.at_all", "does nothing")

    assert missing is not None
    assert missing.state == "note"
    assert missing.remedy.endswith("pip install --constraint constraints.txt --editable '.[none]'")


def test_more_decode_processes_than_a_container_may_use_are_noted(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text(f"{1024**3}\n")

    noted = machine.processors(4, tmp_path)
    assert (noted.state, noted.remedy) == ("note", "KINOLEX_DECODE_WORKERS=1")
    assert machine.processors(1, tmp_path).state == "ok"
    assert machine.memory(tmp_path).text == "1.0 GiB (a limit)"
    assert machine.memory(tmp_path).state == "note"


def test_a_computer_without_limits_has_none(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")

    assert machine.processors(64, tmp_path).state == "ok"
    assert "limit" not in machine.memory(tmp_path).text


def test_findings_are_lines_with_the_remedy_below() -> None:
    findings = [Finding("a", "ok", "works"), Finding("long", "problem", "broken", "mend it")]

    assert table(findings).splitlines() == [
        "ok       a     works",
        "problem  long  broken",
        "               -> mend it",
    ]
    assert verdict(findings) == "Kinolex cannot serve here: long"
    assert verdict(findings[:1]) == "Kinolex can serve here."
