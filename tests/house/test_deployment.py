"""deploy/: manifests that the API's schemas accept, and metrics, settings and codes that exist."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.errors import KINDS
from app.observe.metrics import Metrics
from app.settings import PREFIX, Settings
from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "kinolex.json"
# The oldest release that the manifests are meant for, and a recent one.
RELEASES = ("1.30", "1.36")
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())


@cache
def manifests() -> dict[str, dict[str, Any]]:
    """Every manifest of the kustomization by its kind."""
    documents = [
        yaml.safe_load((KUBERNETES / name).read_text(encoding="utf-8"))
        for name in KUSTOMIZATION["resources"]
    ]
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifests()["Deployment"]["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    assert isinstance(only, dict)
    return only


def variables(name: str) -> dict[str, str]:
    text = (KUBERNETES / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_the_kustomization_has_every_manifest_in_the_folder() -> None:
    present = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}

    assert set(KUSTOMIZATION["resources"]) == present
    (settings,) = KUSTOMIZATION["configMapGenerator"]
    (secrets,) = KUSTOMIZATION["secretGenerator"]
    assert (KUBERNETES / settings["envs"][0]).is_file()
    assert (KUBERNETES / f"{secrets['envs'][0]}.example").is_file()
    assert container()["envFrom"] == [
        {"configMapRef": {"name": settings["name"]}},
        {"secretRef": {"name": secrets["name"]}},
    ]
    assert container()["image"] == KUSTOMIZATION["images"][0]["name"]


@pytest.mark.parametrize("release", RELEASES)
def test_the_schemas_of_kubernetes_accept_every_manifest(release: str) -> None:
    assert {"Deployment", "Service", "HorizontalPodAutoscaler"} <= set(manifests())
    for document in manifests().values():
        kubernetes_validate.validate(document, release, strict=True)


@pytest.mark.parametrize(
    ("field", "value"), [("replica", 2), ("replicas", "two"), ("selector", [])]
)
def test_the_schemas_refuse_a_wrong_manifest(field: str, value: object) -> None:
    wrong = json.loads(json.dumps(manifests()["Deployment"]))
    wrong["spec"][field] = value

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[0], strict=True)


def test_selectors_find_the_pods() -> None:
    labels = manifests()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    target = manifests()["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    spec = {kind: manifest["spec"] for kind, manifest in manifests().items() if "spec" in manifest}

    assert spec["Service"]["selector"] == labels
    assert spec["Deployment"]["selector"]["matchLabels"] == labels
    assert spec["PodDisruptionBudget"]["selector"]["matchLabels"] == labels
    assert spec["NetworkPolicy"]["podSelector"]["matchLabels"] == labels
    assert target["name"] == manifests()["Deployment"]["metadata"]["name"]
    ports = {port["name"] for port in container()["ports"]}
    assert {port["targetPort"] for port in spec["Service"]["ports"]} <= ports
    assert {port["port"] for port in spec["NetworkPolicy"]["ingress"][0]["ports"]} <= ports


def test_probes_ask_what_needs_no_key_and_a_stop_has_its_time() -> None:
    probes = {
        name: container()[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "readiness", "liveness")
    }
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables("settings.env").items()
        if "STOP" in name
    }
    settings = Settings.model_validate(given)
    readiness = container()["readinessProbe"]

    assert probes == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    assert pod()["terminationGracePeriodSeconds"] >= settings.stop_grace_seconds
    noticed = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert settings.stop_delay_seconds > noticed


def test_the_pod_runs_without_root_without_rights_and_with_a_read_only_root() -> None:
    security = container()["securityContext"]

    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert {mount["mountPath"] for mount in container()["volumeMounts"]} == {"/data", "/tmp"}
    assert "memory" in container()["resources"]["limits"]


def test_the_pod_has_the_user_the_port_and_the_folders_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    security = pod()["securityContext"]
    (port,) = container()["ports"]
    mounted = {mount["mountPath"] for mount in container()["volumeMounts"]}

    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == [user, user]
    assert security["fsGroup"] == security["runAsGroup"]
    assert re.findall(r"^EXPOSE (.*)$", dockerfile, re.MULTILINE) == [str(port["containerPort"])]
    assert set(re.findall(r"^VOLUME (.*)$", dockerfile, re.MULTILINE)) == mounted - {"/tmp"}


def test_settings_of_the_manifests_exist_and_open_nothing() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {**variables("settings.env"), **variables("secrets.env.example")}

    assert set(given) <= known
    assert "KINOLEX_OPEN_WITHOUT_KEYS" not in given
    assert given["KINOLEX_DATABASE_URL"].startswith("postgresql://")


def exported() -> set[str]:
    """The names of all samples that a service exports."""
    metrics = Metrics()
    metrics.begin_request()
    metrics.end_request("POST", "/classify", 503, "overloaded", 0.1, {"decode": 0.1})
    metrics.note_labels("default", 1, 1)
    page, _ = metrics.page("")
    return set(re.findall(r"^(kinolex_\w+)", page.decode(), re.MULTILINE))


def expressions(path: Path) -> list[str]:
    """The PromQL expressions of the alerts or the dashboard."""
    if path == ALERTS:
        groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        return [rule["expr"] for group in groups for rule in group["rules"]]
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("path", [ALERTS, DASHBOARD], ids=lambda path: path.name)
def test_alerts_and_dashboard_ask_for_metrics_and_codes_that_exist(path: Path) -> None:
    text = "\n".join(expressions(path))

    used = set(re.findall(r"\bkinolex_\w+", text))
    assert len(used) > 2
    assert used <= exported()
    assert set(re.findall(r'code="(\w+)"', text)) <= set(KINDS)


def test_the_autoscaler_follows_a_metric_that_exists() -> None:
    (metric,) = manifests()["HorizontalPodAutoscaler"]["spec"]["metrics"]

    assert metric["pods"]["metric"]["name"] == "kinolex_videos_waiting"
    assert metric["pods"]["metric"]["name"] in exported()


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in [rule for group in groups for rule in group["rules"]]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_the_dashboard_reads_the_source_that_is_provisioned() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]

    assert {panel["datasource"]["uid"] for panel in panels} == {source["datasources"][0]["uid"]}
    assert all(panel["title"] and panel["targets"] for panel in panels)
