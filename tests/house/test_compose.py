"""docker-compose.yml and its GPU override: valid, safe, and nothing to configure."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from app.settings import Settings
from tests.support.paths import ROOT

COMPOSE = ROOT / "docker-compose.yml"
GPU_OVERRIDE = ROOT / "docker" / "compose.gpu.yml"


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


def test_compose_answers_without_keys_only_at_a_port_of_this_computer() -> None:
    (service,) = load(COMPOSE)["services"].values()

    assert service["environment"] == {"KINOLEX_OPEN_WITHOUT_KEYS": "true"}
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "network_mode" not in service


def test_compose_waits_as_long_as_a_stop_may_take() -> None:
    (service,) = load(COMPOSE)["services"].values()

    assert service["stop_grace_period"] == f"{Settings().stop_grace_seconds:g}s"


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
