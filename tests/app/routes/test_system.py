"""Health, readiness, the model, the page, and what the app does when it starts."""

import gc
import io
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest
import torch
from starlette.testclient import TestClient

from app.main import create_app
from app.observe.logger import make_logger
from app.routes.system import WEB
from app.settings import Settings
from model import Calibration, CalibrationConfig, CheckpointError
from tests.support.fakes import ColourEncoder, colour_tagger
from tests.support.servers import BASE_URL, open_client


class GatedEncoder(ColourEncoder):
    """Encodes only while the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def features(self, pixels: torch.Tensor) -> Any:
        assert self.gate.wait(30)
        return super().features(pixels)


class BrokenEncoder(ColourEncoder):
    """A network that does not run on this machine."""

    def features(self, pixels: torch.Tensor) -> Any:
        raise RuntimeError("no such instruction")


def wait_until_ready(client: TestClient) -> None:
    patience = time.monotonic() + 30
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < patience


@pytest.mark.usefixtures("unfrozen")
def test_the_garbage_collector_leaves_what_was_loaded_alone(
    make_settings: Callable[..., Settings],
) -> None:
    with TestClient(create_app(make_settings(), tagger=colour_tagger()), BASE_URL) as client:
        wait_until_ready(client)
        loaded = gc.get_freeze_count()
        assert loaded > len(gc.get_objects())

    assert gc.get_freeze_count() == 0


def test_ready_only_after_one_warm_inference(make_settings: Callable[..., Settings]) -> None:
    encoder = GatedEncoder()
    with open_client(make_settings(), tagger=colour_tagger(encoder=encoder)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        waiting = client.get("/readyz")
        assert (waiting.status_code, waiting.json()["code"]) == (503, "not_ready")
        assert int(waiting.headers["retry-after"]) >= 1

        encoder.gate.set()
        while (ready := client.get("/readyz")).status_code != 200:
            threading.Event().wait(0.01)
        assert ready.json() == {"status": "ok"}


def test_a_model_that_does_not_run_never_gets_ready(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(log_level="error")
    with open_client(settings, tagger=colour_tagger(encoder=BrokenEncoder())) as client:
        for _ in range(20):
            assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_the_running_model_is_described(shared_client: TestClient) -> None:
    answer = shared_client.get("/model").json()

    assert answer.pop("text_space") == colour_tagger().text_space
    sandbox = answer.pop("sandbox")
    assert sandbox.keys() == {"seccomp", "landlock_abi", "no_new_privileges", "not_dumpable"}
    assert sandbox["no_new_privileges"]
    assert answer == {
        "id": "colours",
        "revision": "0",
        "dim": 3,
        "device": "cpu",
        "runtime": "eager",
        "precision": "float32",
        "sampling": {"clips": 1, "frames_per_clip": 4, "spacing": "spread"},
        "scores": {"fitted_on": None, "likely": 0.6, "possible": 0.3},
        "unknown": {"limit": 0.5, "false_positive_rate": None},
        "access": "local",
        "max_upload_bytes": 2 * 1024**3,
        "ffmpeg": av.ffmpeg_version_info,
    }


def test_the_model_says_what_its_scores_were_fitted_on(
    make_settings: Callable[..., Settings],
) -> None:
    config = CalibrationConfig(fitted_on="330 clips of everyday actions")
    tagger = replace(colour_tagger(), calibration=Calibration(config))
    with open_client(make_settings(), tagger=tagger) as client:
        answer = client.get("/model").json()
    assert answer["scores"]["fitted_on"] == "330 clips of everyday actions"


def test_the_page_may_load_its_own_files_only(shared_client: TestClient) -> None:
    page = shared_client.get("/")

    policy = dict(
        rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page.text)


def test_every_file_that_the_page_names_is_served(shared_client: TestClient) -> None:
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', shared_client.get("/").text)

    assert names
    for name in [*names, *(f"/static/{path.name}" for path in WEB.glob("*.js"))]:
        assert shared_client.get(name).status_code == 200, name


@pytest.mark.parametrize("path", ["/static/", "/static/../main.py", "/static/%2e%2e/main.py"])
def test_nothing_else_is_served(path: str, shared_client: TestClient) -> None:
    answer = shared_client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_foreign_host_or_page_gets_nothing(shared_client: TestClient) -> None:
    rebound = shared_client.get("/labels", headers={"Host": "evil.example"})
    foreign = shared_client.put(
        "/labels", json={"labels": ["x"]}, headers={"Origin": "https://evil.example"}
    )

    assert (rebound.status_code, rebound.json()["code"]) == (403, "host_not_allowed")
    assert (foreign.status_code, foreign.json()["code"]) == (403, "origin_not_allowed")
    assert foreign.headers["x-request-id"] == foreign.json()["request_id"]
    assert shared_client.get("/labels/x").status_code == 404


def test_an_allowed_page_gets_answers_that_its_browser_shows_it(
    make_settings: Callable[..., Settings],
) -> None:
    origin = "https://app.example"
    with open_client(make_settings(allowed_origins=origin)) as client:
        answer = client.put("/labels", json={"labels": ["x"]}, headers={"Origin": origin})
        preflight = client.options(
            "/labels", headers={"Origin": origin, "Access-Control-Request-Method": "PUT"}
        )

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert preflight.status_code == 200


def test_openapi_knows_every_address_and_its_problems(shared_client: TestClient) -> None:
    document = shared_client.get("/openapi.json").json()

    assert {"/classify", "/labels", "/labels/{name}", "/model", "/healthz", "/readyz"} <= set(
        document["paths"]
    )
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"], (method, path)
    body = document["paths"]["/classify"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "video/*", "application/octet-stream"} == set(body)
    assert shared_client.get("/docs").status_code == 200


def test_a_request_is_one_log_line_without_private_data(
    make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(log_level="info", log_format="json")
    with open_client(settings) as client:
        client.get("/labels/a private label?q=private", headers={"X-Request-ID": "r-1"})

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "{" in line]
    (line,) = [line for line in lines if line.get("request_id") == "r-1"]
    assert line["event"] == "request"
    assert (line["status"], line["code"], line["method"]) == (422, "invalid_parameter", "GET")
    assert "private" not in json.dumps(line)


def test_a_console_log_shows_no_locals_in_tracebacks() -> None:
    stream = io.StringIO()
    log = make_logger("info", "console", stream)
    try:
        secret_of_the_caller = "Bearer 123"
        raise ValueError(len(secret_of_the_caller))
    except ValueError:
        log.exception("failed")

    assert "ValueError" in stream.getvalue()
    assert "Bearer 123" not in stream.getvalue().replace('secret_of_the_caller = "Bearer 123"', "")


def test_misspelt_variables_are_logged_at_start(
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KINOLEX_PROT", "80")
    with open_client(make_settings(log_level="warning", log_format="json")):
        pass

    assert "did you mean KINOLEX_PORT?" in capfd.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_cuda_is_not_silently_replaced_by_the_cpu(make_settings: Callable[..., Settings]) -> None:
    app = create_app(make_settings(device="cuda"))

    with (
        pytest.raises(CheckpointError, match="KINOLEX_DEVICE=cuda"),
        TestClient(app, base_url=BASE_URL),
    ):
        pytest.fail("started without a GPU")


def test_a_checkpoint_that_is_missing_stops_the_start(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    app = create_app(make_settings(checkpoint=str(tmp_path / "nowhere"), device="cpu"))

    with pytest.raises(CheckpointError), TestClient(app, base_url=BASE_URL):
        pytest.fail("started without a model")


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/model", "/labels", "/nowhere"])
def test_head_has_the_status_and_headers_of_get_and_no_body(path: str, server: str) -> None:
    with httpx2.Client(base_url=server) as client:
        while client.get("/readyz").status_code != 200:
            pass
        got, headed = client.get(path), client.head(path)
        # the connection is still in step
        assert client.get("/healthz").json() == {"status": "ok"}

    assert headed.status_code == got.status_code
    assert headed.content == b""
    for name in ("content-type", "content-length", "etag"):
        assert headed.headers.get(name) == got.headers.get(name)
