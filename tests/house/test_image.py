"""The image, as far as files and a tiny base can tell; `make image` builds and runs all of it."""

import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TARGETS = ("cpu", "cuda")


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

    copied = [rest for stage in dependencies for rest in stage.arguments("COPY")]
    assert copied == [
        "constraints.txt ./",
        "--from=requirements /build/requirements.txt ./",
        "docker/slim.py ./",
    ]
    installed, slimmed = dependencies[-1].arguments("RUN")
    assert "requirements.txt" in installed
    assert ("--without-gpu" in slimmed) == (target == "cpu")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_copies_the_environment_before_it_installs_the_code(target: str) -> None:
    words = [
        (word, rest) for word, rest in stages()[target].instructions if word in {"COPY", "RUN"}
    ]

    assert words[0] == ("COPY", f"--from=dependencies-{target} /opt/kinolex /opt/kinolex")
    assert "--no-deps" in words[1][1]


def test_the_image_has_the_newest_python_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    minors = [
        int(text.rpartition(".")[2])
        for text in project["classifiers"]
        if text.startswith("Programming Language :: Python :: 3.")
    ]

    assert minors == list(range(min(minors), max(minors) + 1))
    assert project["requires-python"] == f">=3.{min(minors)}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python 3.{min(minors)} to 3.{max(minors)} on Linux" in readme
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG BASE_IMAGE=python:3.{max(minors)}-slim" in dockerfile


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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    listed = subprocess.run(
        [sys.executable, "docker/dependencies.py", "postgres"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert listed == [*project["dependencies"], *project["optional-dependencies"]["postgres"]]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on this computer that answers /readyz with the status, and its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output free of request lines."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def healthcheck(port: int, **variables: str) -> int:
    return subprocess.run(
        [sys.executable, "docker/healthcheck.py"],
        cwd=ROOT,
        env={"KINOLEX_PORT": str(port), **variables},
        capture_output=True,
        check=False,
    ).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_healthcheck_follows_readyz(status: int, code: int) -> None:
    with answering(status) as port:
        assert healthcheck(port) == code


def test_the_healthcheck_asks_no_proxy() -> None:
    with answering(200) as port:
        assert healthcheck(port, http_proxy="http://127.0.0.1:9") == 0


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


def tiny_base(folder: Path) -> Path:
    """A root folder with just what the runtime stage runs, taken from this computer: no network."""
    programs = [shutil.which(name) for name in ("sh", "useradd", "install", "id")]
    assert all(programs)
    listed = subprocess.run(
        ["ldd", *[str(program) for program in programs]], capture_output=True, text=True, check=True
    )
    libraries = {word for word in listed.stdout.split() if word.startswith("/") and ":" not in word}
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for source in [*map(str, programs), *libraries, "/etc/passwd", "/etc/group"]:
        copy = folder / Path(source).relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    return folder


@pytest.mark.buildah
@pytest.mark.skipif(os.geteuid() != 0, reason="buildah's chroot isolation needs root here")
def test_buildah_makes_the_runtime_stage(tmp_path: Path) -> None:
    store = ["--root", str(tmp_path / "images"), "--runroot", str(tmp_path / "run")]
    store += ["--storage-driver", "vfs"]

    def buildah(*words: str) -> str:
        outcome = subprocess.run(
            ["buildah", *store, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout.strip()

    empty = buildah("from", "scratch")
    buildah("add", empty, str(tiny_base(tmp_path / "base")), "/")
    buildah("commit", empty, "localhost/tiny-base")

    context = tmp_path / "context"
    context.mkdir()
    subprocess.run(["docker/copy-context.sh", context], cwd=ROOT, check=True)
    isolated = ["--isolation", "chroot", "--format", "docker"]
    named = ["--build-arg", "BASE_IMAGE=localhost/tiny-base", "--target", "runtime"]
    buildah("bud", *isolated, *named, "--tag", "localhost/runtime", str(context))
    image = json.loads(buildah("inspect", "--type", "image", "localhost/runtime"))["Docker"]

    config = image["config"]
    assert config["Entrypoint"] == ["entrypoint"]
    assert config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python3", "/usr/local/bin/healthcheck.py"]
    assert set(config["Volumes"]) == {"/data"}
    container = buildah("from", "localhost/runtime")
    owner = buildah(
        "run",
        "--isolation",
        "chroot",
        "--user",
        "10001",
        container,
        "--",
        "sh",
        "-c",
        "test -w /data && test -x /usr/local/bin/entrypoint && id -u",
    )
    assert owner == "10001"
