"""The gate itself: a test that silently stops running where it must run fails the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_suite(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    browser: needs chromium\n    shared: needs the clips\n",
        encoding="utf-8",
    )
    (folder / "test_one.py").write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *options],
        cwd=folder,
        # The plugins of this environment are no part of what is tested, and slow to load.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


SKIPPED = """
import pytest

@pytest.mark.browser
def test_page():
    pytest.skip("the browser does not start")
"""

NEEDS_SHARED = """
import pytest

@pytest.mark.shared
def test_clip():
    raise AssertionError("must not run without its clips")
"""


def test_a_skip_is_allowed_where_nothing_is_required(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, SKIPPED)

    assert outcome.returncode == 0
    assert "1 skipped" in outcome.stdout


def test_a_skip_of_something_required_fails(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, SKIPPED, "--require", "browser")

    assert outcome.returncode == 1
    assert "skipped although --require names browser" in outcome.stdout
    assert "the browser does not start" in outcome.stdout


def test_an_unknown_requirement_is_refused(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, SKIPPED, "--require", "browsers")

    assert outcome.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unknown ['browsers']" in outcome.stderr


def test_a_marked_test_whose_need_is_missing_says_what_to_get(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()

    outcome = run_suite(folder, NEEDS_SHARED)

    assert outcome.returncode == 0
    assert "needs the real clips in ../shared" in outcome.stdout


def test_a_marked_test_whose_need_is_missing_fails_when_required(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()

    outcome = run_suite(folder, NEEDS_SHARED, "--require", "shared")

    assert outcome.returncode == 1
