"""docker-compose.yml: valid, safe, and nothing to configure, with each of its profiles."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from app.settings import PREFIX, Settings
from tests.support.paths import ROOT

COMPOSE = ROOT / "docker-compose.yml"
# The services that run Kinolex itself.
OURS = ("kinolex", "gpu", "replica")


def compose_schema() -> Validator:
    """The compose specification's schema, as the check-jsonschema package carries it."""
    text = (
        files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    )
    schema = json.loads(text)
    return validator_for(schema)(schema)


def load(path: Path = COMPOSE) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def services(profile: str) -> dict[str, Any]:
    """The services that a profile starts."""
    return {
        name: service
        for name, service in load()["services"].items()
        if profile in service.get("profiles", [profile])
    }


def variables(path: Path) -> dict[str, str]:
    """The variables that an environment file sets, also those in comments."""
    found = re.findall(r"^#?([A-Z_]+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def test_compose_follows_the_specification() -> None:
    errors = [error.message for error in compose_schema().iter_errors(load())]

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
    document = load()
    document["services"]["kinolex"] |= change

    assert list(compose_schema().iter_errors(document))


def test_without_a_profile_one_service_with_one_volume_starts() -> None:
    profile = variables(ROOT / ".env")["COMPOSE_PROFILES"]
    (service,) = services(profile).values()

    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["volumes"] == ["labels:/data"]
    assert service["build"]["target"] == "cpu"


@pytest.mark.parametrize("profile", ["cpu", "gpu", "replicas", "monitoring"])
def test_only_this_computer_reaches_the_ports_and_each_port_is_used_once(profile: str) -> None:
    ports = [port for service in services(profile).values() for port in service.get("ports", [])]

    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)
    assert len(set(ports)) == len(ports)
    assert not any("network_mode" in service for service in services(profile).values())


@pytest.mark.parametrize("name", OURS)
def test_compose_waits_as_long_as_a_stop_may_take(name: str) -> None:
    service = load()["services"][name]

    assert service["stop_grace_period"] == f"{Settings().stop_grace_seconds:g}s"


def test_models_of_the_hub_are_kept_on_a_volume() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "HF_HOME=/data/hub" in image
    assert "\nVOLUME /data\n" in image
    for name in OURS:
        volumes = [each.rpartition(":")[2] for each in load()["services"][name]["volumes"]]
        assert "/data" in volumes


def test_compose_needs_no_configuration() -> None:
    text = COMPOSE.read_text(encoding="utf-8")

    used = re.findall(r"\$\{(\w+)(:-)?", text)
    assert {name for name, _ in used} == {"KINOLEX_MEMORY", "POSTGRES_PASSWORD", "TORCH_INDEX_URL"}
    assert all(default for _, default in used), "every variable in compose needs a default"
    assert all(load()["services"][name]["env_file"][0]["required"] is False for name in OURS)


def test_the_environment_files_set_what_exists() -> None:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    example = variables(ROOT / "docker" / "kinolex.env.example")

    assert set(example) - settings == {"HF_HUB_OFFLINE"}
    assert set(variables(ROOT / ".env")) == {
        "COMPOSE_PROFILES",
        "KINOLEX_MEMORY",
        "POSTGRES_PASSWORD",
    }
    for name in OURS:
        ours = {key for key in load()["services"][name]["environment"] if key.startswith(PREFIX)}
        assert ours <= settings


@pytest.mark.parametrize("name", load()["services"])
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    service = load()["services"][name]

    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert "privileged" not in service
    # PostgreSQL and Grafana give their folders to their own users, and write beside their volumes
    if name not in ("postgres", "grafana"):
        assert service["read_only"] is True
    if name != "postgres":
        assert service["cap_drop"] == ["ALL"]


def test_the_profile_gpu_changes_only_what_the_gpu_needs() -> None:
    base, gpu = load()["services"]["kinolex"], load()["services"]["gpu"]

    changed = {key for key in base.keys() | gpu.keys() if base.get(key) != gpu.get(key)}
    assert changed == {"profiles", "image", "build", "environment", "deploy"}
    assert gpu["build"]["target"] == "cuda"
    assert gpu["environment"]["KINOLEX_DEVICE"] == "cuda"
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_replicas_share_the_database_and_are_reached_through_the_balancer() -> None:
    started = services("replicas")
    replica = started["replica"]

    assert set(started) == {"replica", "balancer", "postgres"}
    assert replica["deploy"]["replicas"] == 2
    assert "ports" not in replica
    assert "@postgres/kinolex" in replica["environment"]["KINOLEX_DATABASE_URL"]
    assert replica["volumes"] == ["/data"]
    balancer = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")
    assert "server-template replica 8 replica:8000" in balancer
    assert "GET /readyz" in balancer


def test_every_file_that_compose_mounts_is_in_the_tree() -> None:
    mounted = [
        volume.split(":")[0]
        for service in load()["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]

    assert len(mounted) == 4
    assert all((ROOT / path).exists() for path in mounted)


def test_prometheus_asks_every_service_that_runs_kinolex() -> None:
    config = load(ROOT / "deploy" / "prometheus" / "prometheus.yml")
    (job,) = config["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]

    assert sorted(discovery["names"]) == sorted(OURS)
    assert discovery["port"] == 8000
