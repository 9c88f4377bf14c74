"""The image and its compose file as far as files can tell; `make image` builds and runs it."""

import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"
GPU_OVERRIDE = ROOT / "docker" / "compose.gpu.yml"
TARGETS = ("cpu", "cuda")


def compose_schema() -> Validator:
    """The compose specification's schema, as the check-jsonschema package carries it."""
    text = (
        files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    )
    schema = json.loads(text)
    return validator_for(schema)(schema)


def load(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def arguments(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]


def stages() -> dict[str, Stage]:
    """Dockerfile's stages by name, in order, with continued lines joined and comments dropped."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = Stage(name, base, ())
        elif found:
            last = list(found.values())[-1]
            found[last.name] = Stage(last.name, last.base, (*last.instructions, (word, rest)))
    return found


def lineage(name: str) -> list[Stage]:
    """The stage and those it is built from, the first one first."""
    known = stages()
    line: list[Stage] = []
    while name in known:
        line.insert(0, known[name])
        name = known[name].base
    return line


@pytest.mark.parametrize("path", [COMPOSE, GPU_OVERRIDE], ids=lambda path: path.name)
def test_compose_files_follow_the_specification(path: Path) -> None:
    errors = [error.message for error in compose_schema().iter_errors(load(path))]

    assert not errors


@pytest.mark.parametrize(
    "change",
    [
        {"ports": "8000"},
        {"read_only": ["yes"]},
        {"helthcheck": {}},
        {"volumes": {"labels": "/data"}},
    ],
    ids=str,
)
def test_the_specification_refuses_a_wrong_compose_file(change: dict[str, Any]) -> None:
    document = load(COMPOSE)
    document["services"]["kinolex"] |= change

    assert list(compose_schema().iter_errors(document))


def test_compose_runs_one_service_with_one_volume_that_only_this_computer_reaches() -> None:
    document = load(COMPOSE)
    (service,) = document["services"].values()

    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert list(document["volumes"]) == ["labels"]
    assert service["volumes"] == ["labels:/data"]
    assert service["build"]["target"] == "cpu"


def test_compose_needs_no_configuration() -> None:
    text = COMPOSE.read_text(encoding="utf-8") + GPU_OVERRIDE.read_text(encoding="utf-8")

    assert "${TORCH_INDEX_URL:-}" in text
    assert text.count("${") == 1, "every variable in compose needs a default; say it here too"
    assert "env_file" not in text


def test_compose_gives_the_service_no_more_rights_than_it_needs() -> None:
    (service,) = load(COMPOSE)["services"].values()

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_gpu_override_changes_only_what_the_gpu_needs() -> None:
    base, override = load(COMPOSE), load(GPU_OVERRIDE)

    assert override["services"].keys() == base["services"].keys()
    (service,) = override["services"].values()
    assert service.keys() == {"image", "build", "environment", "deploy"}
    assert service["build"] == {"target": "cuda"}
    assert service["environment"] == {"KINOLEX_DEVICE": "cuda"}
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_the_default_image_is_the_cpu_one() -> None:
    assert list(stages())[-1] == "cpu"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_an_ordinary_user(target: str) -> None:
    users = [user for stage in lineage(target) for user in stage.arguments("USER")]

    assert users
    assert users[-1].split(":")[0] not in {"0", "root"}
    assert stages()[target].instructions[-1][0] == "USER"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_when_it_is_ready(target: str) -> None:
    (check,) = [check for stage in lineage(target) for check in stage.arguments("HEALTHCHECK")]

    assert "healthcheck.py" in check


@pytest.mark.parametrize("target", TARGETS)
def test_a_code_change_does_not_install_the_dependencies_again(target: str) -> None:
    dependencies = lineage(f"dependencies-{target}")

    copied = " ".join(rest for stage in dependencies for rest in stage.arguments("COPY")).split()
    assert sorted(copied) == ["./", "constraints.txt", "docker/dependencies.py", "pyproject.toml"]
    assert any("requirements.txt" in run for run in dependencies[-1].arguments("RUN"))


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_copies_the_environment_before_it_installs_the_code(target: str) -> None:
    words = [
        (word, rest) for word, rest in stages()[target].instructions if word in {"COPY", "RUN"}
    ]

    assert words[0] == ("COPY", f"--from=dependencies-{target} /opt/kinolex /opt/kinolex")
    assert "--no-deps" in words[1][1]


def test_torchs_index_is_an_argument_that_is_empty_by_default() -> None:
    assert stages()["dependencies-cpu"].arguments("ARG") == ["TORCH_INDEX_URL="]


def test_whatever_the_dockerfile_copies_reaches_the_builder() -> None:
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }

    for stage in stages().values():
        for copy in stage.arguments("COPY"):
            if copy.startswith("--from"):
                continue
            for source in copy.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in kept, f"{source} is not sent: name it in .dockerignore"


def test_the_dependency_list_is_the_projects_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    listed = subprocess.run(
        [sys.executable, "docker/dependencies.py", "postgres"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert listed == [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["postgres"],
    ]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on this computer that answers /readyz with the status, and its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the test's output is the assertion."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def healthcheck(port: int) -> int:
    return subprocess.run(
        [sys.executable, "docker/healthcheck.py"],
        cwd=ROOT,
        env={"KINOLEX_PORT": str(port)},
        capture_output=True,
        check=False,
    ).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_healthcheck_follows_readyz(status: int, code: int) -> None:
    with answering(status) as port:
        assert healthcheck(port) == code


def test_the_healthcheck_fails_while_nothing_listens() -> None:
    with answering(200) as port:
        pass

    assert healthcheck(port) == 1


def run_entrypoint(tmp_path: Path, data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = tmp_path / "kinolex"
    command.write_text('#!/bin/sh\necho "kinolex $*"\n', encoding="utf-8")
    command.chmod(0o755)
    return subprocess.run(
        [ROOT / "docker" / "entrypoint", *words],
        env={"PATH": f"{tmp_path}:{os.defpath}", "KINOLEX_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_entrypoint_runs_any_kinolex_command(tmp_path: Path) -> None:
    outcome = run_entrypoint(tmp_path, tmp_path, "labels", "list")

    assert outcome.stdout == "kinolex labels list\n"


def test_the_entrypoint_explains_a_data_folder_that_it_cannot_write(tmp_path: Path) -> None:
    outcome = run_entrypoint(tmp_path, tmp_path / "missing", "serve")

    assert outcome.returncode == 78
    assert "not writable" in outcome.stderr
    assert not outcome.stdout
