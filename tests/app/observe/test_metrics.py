"""`/metrics` and traces: what an operator sees of requests, stages and refusals."""

import re
import sys
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.errors import TracingNotInstalled
from app.main import create_app
from app.observe.tracing import Tracing
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.servers import BASE_URL, LOCAL, open_client

RED = clip_bytes(seconds_colours=["red"])
MP4 = {"Content-Type": "video/mp4"}

Samples = dict[tuple[str, tuple[str, ...]], float]


def parse(text: str) -> Samples:
    """Each sample's value by its name and the values of its labels, in order of their names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def numbers(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return parse(answer.text)


def tag(client: TestClient) -> None:
    assert client.post("/classify?labels=red", content=RED, headers=MP4).status_code == 200


def test_requests_are_counted_by_route_and_status_and_refusals_by_code(client: TestClient) -> None:
    tag(client)
    tag(client)
    client.post("/classify", content=b"no video" * 99, headers=MP4)
    client.get("/labels/no such label")
    client.get("/a/made/up/path")
    client.request("BREW", "/classify")

    seen = numbers(client)

    assert seen["kinolex_requests_total", ("POST", "/classify", "200")] == 2
    assert seen["kinolex_requests_total", ("POST", "/classify", "415")] == 1
    assert seen["kinolex_requests_total", ("GET", "/labels/{name:path}", "404")] == 1
    assert seen["kinolex_requests_total", ("GET", "none", "404")] == 1
    assert not any("made" in value for _, values in seen for value in values)
    assert not any("BREW" in value for _, values in seen for value in values)
    assert seen["kinolex_rejects_total", ("not_a_video",)] == 1
    assert seen["kinolex_rejects_total", ("label_not_found",)] == 1


def test_every_stage_has_a_histogram(client: TestClient) -> None:
    tag(client)
    tag(client)

    seen = numbers(client)

    for stage in ("intake", "queue", "decode", "encode", "search"):
        assert seen["kinolex_stage_seconds_count", (stage,)] == 2
        assert seen["kinolex_stage_seconds_bucket", ("+Inf", stage)] == 2
    assert seen["kinolex_stage_seconds_sum", ("decode",)] > 0
    assert seen["kinolex_request_seconds_count", ("/classify",)] == 2


def test_gauges_have_the_present_state(client: TestClient) -> None:
    tag(client)
    state = client.put("/labels", json={"labels": ["a new one"]}).json()["label_set"]

    seen = numbers(client)

    assert seen["kinolex_requests_in_flight", ()] == 1  # this request
    for name in ("uploading", "waiting", "working"):
        assert seen[f"kinolex_videos_{name}", ()] == 0
    assert seen["kinolex_label_set_revision", ("default",)] == state["revision"]
    assert seen["kinolex_label_set_labels", ("default",)] == state["size"]


def test_two_apps_count_for_themselves(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings()) as one, open_client(make_settings()) as two:
        tag(one)
        key = ("kinolex_requests_total", ("POST", "/classify", "200"))
        assert numbers(one)[key] == 1
        assert key not in numbers(two)


def test_openmetrics_is_returned_if_accept_asks_for_it(client: TestClient) -> None:
    answer = client.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_a_trace_has_a_span_for_the_request_and_one_for_each_stage(
    make_settings: Callable[..., Settings],
) -> None:
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = memory.InMemorySpanExporter()
    app = create_app(make_settings(), tagger=colour_tagger(), tracing=Tracing.to_exporter(exporter))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with TestClient(app, base_url=BASE_URL, client=LOCAL) as client:
        answer = client.post(
            "/classify?labels=red", content=RED, headers={**MP4, "traceparent": parent}
        )

    spans = {span.name: span for span in exporter.get_finished_spans()}
    [request] = [span for name, span in spans.items() if re.search("classify", name)]
    stages = {name: span for name, span in spans.items() if span is not request}
    assert {"intake", "queue", "decode", "encode", "search"} <= stages.keys()
    assert format(request.context.trace_id, "032x") == parent.split("-")[1]
    assert request.attributes["kinolex.request_id"] == answer.headers["x-request-id"]
    assert request.attributes["url.query"] == ""
    for stage in stages.values():
        assert stage.parent.span_id == request.context.span_id
        assert request.start_time <= stage.start_time <= stage.end_time


def test_traces_without_opentelemetry_are_refused_with_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]
) -> None:
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TracingNotInstalled, match=r"pip install --editable '\.\[otel\]'"):
        create_app(make_settings(otlp_endpoint="http://127.0.0.1:4318"), tagger=colour_tagger())
