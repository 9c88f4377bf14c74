"""`kinolex archive`: errors on one line, and what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.cli.command_line import kinolex
from tests.support.paths import ROOT

WITHOUT_THE_EXTRA = """
import sys
sys.modules["pyarrow"] = None
from app.cli.program import main
sys.argv = ["kinolex", "archive", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    "arguments", [("tag", ".", "--out", "x"), ("search", "x", "words"), ("import", "x")], ids=str
)
def test_without_the_extra_a_command_says_what_to_install(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 2, outcome.stderr
    assert outcome.stderr.endswith("install it with `pip install --editable '.[archive]'`\n")
    assert outcome.stderr.count("\n") == 1


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    source = kinolex("archive", "tag", tmp_path / "missing", "--out", tmp_path)
    archive = kinolex("archive", "import", tmp_path)

    assert (source.exit_code, archive.exit_code) == (1, 1)
    assert source.stderr.endswith("(source_not_readable)\n")
    assert archive.stderr.endswith("(archive_not_found)\n")
