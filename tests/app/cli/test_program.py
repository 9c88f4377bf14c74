"""The program: help of every command without heavy imports, the version, the ways to start it."""

import os
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

from app.cli.program import main
from tests.app.cli.command_line import command_tree, kinolex
from tests.support.paths import ROOT

COMMANDS = command_tree()


def test_the_tree_holds_the_commands_of_every_group() -> None:
    assert {
        ("classify",),
        ("serve",),
        ("labels", "import"),
        ("train",),
        ("train", "compare"),
        ("evaluate",),
        ("data", "shard"),
        ("checkpoint", "show"),
    } <= COMMANDS.keys()


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_prints_its_help(words: tuple[str, ...], option: str) -> None:
    outcome = kinolex(*words, option)

    assert outcome.exit_code == 0, outcome.output
    usage, *rest = outcome.stdout.splitlines()
    assert usage.startswith(f"Usage: {' '.join(['kinolex', *words])} ")
    assert any(line.split()[:2] == ["-h,", "--help"] for line in rest)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_parameter_is_described(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]

    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(words)}: describe {parameter.name}"


THREADS_OF_NUMPY = """
import os
import sys
from contextlib import suppress

from app.cli.program import main

assert "numpy" not in sys.modules
sys.argv = ["kinolex", "--version"]
with suppress(SystemExit):
    main()
print(os.environ["OPENBLAS_NUM_THREADS"])
"""


@pytest.mark.parametrize(("before", "found"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_numpy_gets_one_thread_unless_the_user_says_otherwise(
    before: dict[str, str], found: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    process = subprocess.run(
        [sys.executable, "-c", THREADS_OF_NUMPY],
        cwd=ROOT,
        env=environment | before,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split()[-1] == found


HELP_OF_ALL = """
import sys
from tests.app.cli.command_line import command_tree, kinolex

heavy = {"av", "faiss", "fastapi", "numpy", "sqlalchemy", "torch", "transformers"}
for words in command_tree():
    assert kinolex(*words, "--help").exit_code == 0
    loaded = heavy & sys.modules.keys()
    assert not loaded, f"`{' '.join(words)} --help` imports {sorted(loaded)}"
"""


def test_help_imports_nothing_heavy() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("option", ["--version", "-V"])
@pytest.mark.parametrize("module", ["app", "app.cli.program"])
def test_the_program_runs_as_a_module_and_prints_its_version(module: str, option: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", module, option],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == f"kinolex {version('kinolex')}\n"


def test_the_installed_script_is_the_program() -> None:
    (script,) = entry_points(group="console_scripts", name="kinolex")

    assert script.load() is main


def test_an_unknown_command_is_a_usage_error_with_a_suggestion() -> None:
    outcome = kinolex("labelss")

    assert outcome.exit_code == 2
    assert "No such command 'labelss'. Did you mean 'labels'?" in outcome.stderr
