"""The rules of docs/architecture.md that neither ruff nor deptry nor import-linter can check.

Those three are configured in pyproject.toml and run by `make lint`; the rules here are read from
the syntax trees. A failure says what a reviewer would say.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import model
from tests.support.paths import ROOT, program

PACKAGES = ("app", "model")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
MAX_LINES = 400


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_in(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yield (module, names, line) of each import; names are empty for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, (), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, tuple(alias.name for alias in node.names), node.lineno


def imports_package(path: Path, package: str) -> bool:
    return any(name.split(".")[0] == package for name, _, _ in imports_in(tree_of(path)))


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(program("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_modules_import_only_what_lies_below_them() -> None:
    outcome = lint_imports(ROOT)

    assert outcome.returncode == 0, outcome.stdout


def test_an_import_against_the_rules_is_noticed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in PACKAGES:
        for path in (ROOT / name).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    with (tmp_path / "model" / "errors.py").open("a", encoding="utf-8") as file:
        file.write("\nimport app.settings\n")

    outcome = lint_imports(tmp_path)

    assert outcome.returncode != 0
    assert "model.errors -> app.settings" in outcome.stdout


def test_no_file_is_too_long_to_have_one_job() -> None:
    pages = [p for p in (ROOT / "app" / "web").rglob("*") if p.suffix in {".html", ".js", ".css"}]
    assert pages

    lengths = {
        relative(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in [*SOURCES, *TESTS, *BENCHMARKS, *pages]
    }

    too_long = {name: count for name, count in lengths.items() if count > MAX_LINES}
    assert not too_long, "give a part its own file"


ROOMS = sorted({path.parent for path in [*SOURCES, *BENCHMARKS] if "migrations" not in path.parts})
MAX_FILES_IN_A_ROOM = 15


@pytest.mark.parametrize("room", ROOMS, ids=relative)
def test_a_room_is_small_and_says_what_is_in_it(room: Path) -> None:
    files = [path for path in room.glob("*.py") if path.name != "__init__.py"]

    assert len(files) <= MAX_FILES_IN_A_ROOM, "give a subject its own room"
    assert ast.get_docstring(tree_of(room / "__init__.py")), "say what is in the room"


def test_import_contracts_name_every_room_of_training() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [
        contract["layers"]
        for contract in contracts["contracts"]
        if contract.get("containers") == ["model.training"]
    ]

    rooms = {path.name for path in (ROOT / "model" / "training").iterdir() if path.is_dir()}
    assert rooms - {"presets", "splits", "__pycache__"} == set(layers)


# Decode workers load only these rooms of the library, so that they start without torch.
DECODE_ROOMS = ("model.video", "model.cpu")


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if relative(path).startswith("app/")], ids=relative
)
def test_the_service_uses_only_the_librarys_public_names(path: Path) -> None:
    for module, names, line in imports_in(tree_of(path)):
        if module.split(".")[0] != "model":
            continue
        where = f"{relative(path)}:{line}"
        if module.startswith(DECODE_ROOMS):
            assert relative(path).startswith("app/decode/"), f"{where}: import it from `model`"
        elif module.startswith("model.training"):
            assert relative(path).startswith("app/cli/"), f"{where}: only a command may train"
        else:
            assert module == "model", f"{where}: import it from `model`, not from {module}"
            hidden = set(names) - set(model.__all__)
            assert not hidden, f"{where}: {sorted(hidden)} is not in model.__all__"


def test_all_is_sorted_and_every_name_in_it_resolves() -> None:
    assert list(model.__all__) == sorted(model.__all__)
    for name in model.__all__:
        assert getattr(model, name) is not None


def test_no_dependency_of_a_route_is_sent_to_a_thread() -> None:
    # FastAPI awaits coroutines, and runs plain functions in a thread: a millisecond a request
    for path in SOURCES:
        tree = tree_of(path)
        plain = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Depends":
                name = ast.unparse(node.args[0])
                assert name not in plain, f"{relative(path)}: make `{name}` a coroutine"


FORBIDDEN_WORDS = ("utils", "util", "helper", "manager", "handler", "processor", "common", "core")


def test_no_module_has_a_name_that_says_nothing() -> None:
    for path in SOURCES:
        words = set(re.split(r"[_/.]", relative(path)))
        vague = {w for w in FORBIDDEN_WORDS if w in words or f"{w}s" in words}
        assert not vague, f"{relative(path)}: name the file after its job, not {sorted(vague)}"


def test_every_silenced_check_and_broad_except_gives_its_reason() -> None:
    silent = re.compile(r"#\s*(?:type:\s*ignore|noqa)(?:\[[^\]]*\]|:\s*[A-Z0-9, ]+)?\s*$")
    broad = re.compile(r"^\s*except(?:\s+(?:Base)?Exception(?:\s+as\s+\w+)?)?:\s*$")
    for path in [*SOURCES, *TESTS, *BENCHMARKS]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not silent.search(line), f"{relative(path)}:{number}: say why after it"
            assert not broad.match(line), f"{relative(path)}:{number}: say why it catches all"


def test_no_function_is_left_unwritten() -> None:
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Name):
                assert node.id != "NotImplementedError", f"{relative(path)}:{node.lineno}"


IMPORT_WATCH = """
import importlib
import sys

OURS = (sys.argv[1] + "/app/", sys.argv[1] + "/model/")
ACTS = {"open", "os.fork", "os.mkdir", "os.remove", "os.rename", "socket.bind", "socket.connect",
        "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen"}
found = []

def by_us():
    # What a library does while it is imported is its own affair: the nearest frame decides.
    frame = sys._getframe(2)
    while frame:
        name = frame.f_code.co_filename
        if name.startswith(OURS):
            return True
        if "site-packages" in name or "importlib" in name:
            return False
        frame = frame.f_back
    return False

def watch(event, arguments):
    if event in ACTS and by_us():
        found.append(f"{event} {arguments}")

sys.addaudithook(watch)
for module in sys.argv[2:]:
    importlib.import_module(module)
assert not found, found
"""


@pytest.mark.slow
def test_importing_the_service_and_the_library_does_nothing(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        # Alembic runs its files itself, and `python -m app` is the program.
        if "migrations" not in path.parts and path.name != "__main__.py"
    ]

    outcome = subprocess.run(
        [sys.executable, "-c", IMPORT_WATCH, str(ROOT), "app.main", "model", *modules],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_librarys_tests_do_not_need_the_service(tmp_path: Path) -> None:
    """Without app/ the tests of the library that do not import it can still run."""
    assert not imports_package(ROOT / "tests" / "support" / "clips.py", "app")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise ModuleNotFoundError('app is deleted')\n")
    shutil.copytree(
        ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    library = [
        path
        for path in TESTS
        if path.is_relative_to(ROOT / "tests" / "model")
        and path.name.startswith("test_")
        and not imports_package(path, "app")
    ]
    covered = {path.stem for path in library}
    assert {"test_encoder", "test_label_index", "test_sampling", "test_video"} <= covered

    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        + [str(path.relative_to(ROOT)) for path in library],
        cwd=tmp_path,
        # the tests' own folder comes first, so that only `model` is found in the tree
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
