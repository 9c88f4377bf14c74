"""`/mcp`, called by the client of the package `mcp`, in the old protocol and the new one."""

import base64
import http.client
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import jsonschema
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from app.settings import Settings
from app.store.access import Limits
from tests.support.clips import clip_bytes
from tests.support.fakes import PatientEncoder, colour_tagger
from tests.support.keys import bearer, issue_key
from tests.support.servers import open_client, running_server

CLIP = clip_bytes(seconds_colours=["red"] * 4 + ["blue"] * 4)
VIDEO = base64.b64encode(CLIP).decode()
OLD, NEW, EITHER = "legacy", "2026-07-28", "auto"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service."""
    folder = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=folder, decode_workers=1, log_level="error")
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        yield address


@asynccontextmanager
async def connected(
    address: str, mode: str = NEW, headers: dict[str, str] | None = None
) -> AsyncGenerator[Client]:
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{address}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def call(
    address: str, name: str, headers: dict[str, str] | None = None, **arguments: Any
) -> CallToolResult:
    """Call one tool."""

    async def run() -> CallToolResult:
        async with connected(address, headers=headers) as client:
            return await client.call_tool(name, arguments)

    return anyio.run(run)


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert content.type == "text"
    return content.text


@pytest.mark.parametrize("mode", [OLD, NEW, EITHER])
def test_both_protocols_list_and_call_the_tools(mode: str, address: str) -> None:
    async def run() -> None:
        async with connected(address, mode) as client:
            listed = (await client.list_tools()).tools
            answer = await client.call_tool(
                "classify",
                {"video": VIDEO, "labels": ["red", "blue"], "granularity": "segments"},
            )

        assert {tool.name for tool in listed} == {
            "classify",
            "search",
            "labels",
            "put_labels",
            "job",
        }
        assert not answer.is_error
        segments = answer.structured_content["segments"]
        assert [each["tags"][0]["label"] for each in segments] == ["red", "blue"]
        [schema] = [tool.output_schema for tool in listed if tool.name == "classify"]
        assert schema is not None
        jsonschema.validate(answer.structured_content, schema)

    anyio.run(run)


def test_annotations_say_which_tool_changes_something(address: str) -> None:
    async def run() -> None:
        async with connected(address) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}

        for name, tool in tools.items():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint == (name != "put_labels")
            assert tool.annotations.destructive_hint == (name == "put_labels")
            assert tool.description

    anyio.run(run)


def test_labels_are_put_then_listed(address: str) -> None:
    put = call(address, "put_labels", labels=["green light"], label_set="traffic")
    listed = call(address, "labels", label_set="traffic")

    assert put.structured_content["created"] == 1
    assert [each["name"] for each in listed.structured_content["items"]] == ["green light"]


def test_kept_videos_are_found_and_asked(address: str) -> None:
    kept = httpx2.post(
        f"{address}/classify?keep=true&granularity=segments",
        content=CLIP,
        headers={"Content-Type": "video/mp4"},
    ).json()
    found = call(address, "search", q="red", min_score=0.5)
    sha256 = found.structured_content["items"][0]["video"]["sha256"]
    asked = call(address, "classify", sha256=sha256, labels=["red"], top_k=1)

    assert sha256 == kept["video"]["sha256"]
    assert [tag["label"] for tag in asked.structured_content["tags"]] == ["red"]


def test_the_number_of_tags_is_that_of_the_tool_not_of_the_service(
    make_settings: Callable[..., Settings],
) -> None:
    colours = ["red", "green", "blue"]
    app = create_app(make_settings(top_k=1), tagger=colour_tagger())
    with running_server(app) as address:
        kept = httpx2.post(
            f"{address}/classify?keep=true", content=CLIP, headers={"Content-Type": "video/mp4"}
        ).json()
        videos: list[dict[str, Any]] = [{"video": VIDEO}, {"sha256": kept["video"]["sha256"]}]
        numbers: list[dict[str, Any]] = [{}, {"top_k": 5}]
        answers = [
            call(address, "classify", labels=colours, **video, **number)
            for video in videos
            for number in numbers
        ]

    assert [len(answer.structured_content["tags"]) for answer in answers] == [3] * 4


def test_a_job_is_read(address: str) -> None:
    created = httpx2.post(
        f"{address}/jobs", content=CLIP, headers={"Content-Type": "video/mp4"}
    ).json()

    assert call(address, "job", id=created["id"]).structured_content["id"] == created["id"]


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("classify", {}, "invalid_parameter"),
        ("classify", {"video": VIDEO, "sha256": "0" * 64}, "invalid_parameter"),
        ("classify", {"video": "no base64"}, "invalid_parameter"),
        ("classify", {"video": VIDEO, "speed": 2}, "invalid_parameter"),
        ("classify", {"video": VIDEO, "top_k": "many"}, "invalid_parameter"),
        ("classify", {"video": base64.b64encode(b"text").decode()}, "not_a_video"),
        ("classify", {"sha256": "0" * 64}, "video_not_found"),
        ("labels", {"label_set": "nowhere"}, "label_set_not_found"),
        ("job", {"id": "0" * 32}, "job_not_found"),
    ],
)
def test_a_failed_call_says_why(
    name: str, arguments: dict[str, Any], code: str, address: str
) -> None:
    result = call(address, name, **arguments)

    assert result.is_error
    assert text_of(result).startswith(f"{code}: ")


def test_each_tool_needs_the_scope_of_its_route(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    scopes = {
        "classify": "classify",
        "search": "archive",
        "labels": "labels:read",
        "put_labels": "labels:write",
        "job": "classify",
    }
    arguments: dict[str, dict[str, Any]] = {
        "classify": {"video": VIDEO, "labels": ["red"]},
        "search": {"q": "red"},
        "put_labels": {"labels": ["x"]},
        "job": {"id": "0" * 32},
    }
    keys = {
        scope: bearer(issue_key(settings, scope))
        for scope in ("classify", "archive", "labels:read", "labels:write")
    }
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        for name, needed in scopes.items():
            for scope, header in keys.items():
                result = call(address, name, header, **arguments.get(name, {}))
                refused = result.is_error and text_of(result).startswith("scope_missing")
                assert refused == (scope != needed), (name, scope)
        answer = httpx2.post(f"{address}/mcp", json={})

    assert (answer.status_code, answer.json()["code"]) == (401, "key_required")


def test_a_key_is_held_to_its_label_sets_and_its_seconds_of_video(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    header = bearer(
        issue_key(
            settings,
            "classify",
            "labels:read",
            label_sets=frozenset({"sports"}),
            limits=Limits(video_seconds_per_day=1),
        )
    )
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        others = [call(address, "labels", header), call(address, "classify", header, video=VIDEO)]
        first, second = [
            call(address, "classify", header, video=VIDEO, labels=["red"]) for _ in range(2)
        ]

    assert [text_of(each).partition(":")[0] for each in others] == ["label_set_not_allowed"] * 2
    assert not first.is_error
    assert text_of(second).startswith("quota_exceeded")


def test_a_body_over_the_limit_and_a_foreign_page_are_refused(
    make_settings: Callable[..., Settings],
) -> None:
    with open_client(make_settings(max_json_bytes=2_000)) as client:
        large = client.post("/mcp", json={"jsonrpc": "2.0", "method": "x" * 4_000})
        foreign = client.post("/mcp", json={}, headers={"Origin": "https://evil.example"})

    assert large.status_code == 413
    assert (foreign.status_code, foreign.json()["code"]) == (403, "origin_not_allowed")


def test_a_page_of_an_allowed_origin_may_call_the_tools(
    make_settings: Callable[..., Settings],
) -> None:
    origin = "https://app.example"
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, mcp-method, mcp-protocol-version",
    }
    with open_client(make_settings(allowed_origins=origin)) as client:
        preflight = client.options("/mcp", headers=asked)

    assert preflight.status_code == 200


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_a_call_ends_with_its_connection(
    version: str, make_settings: Callable[..., Settings]
) -> None:
    encoder = PatientEncoder()
    encoder.sign.set()
    app = create_app(make_settings(), tagger=colour_tagger(encoder=encoder))
    with running_server(app) as address:
        wait_until(lambda: httpx2.get(f"{address}/readyz").status_code == 200)
        encoder.sign.clear()
        try:
            hang_up_at_work(address, version)
            wait_until(lambda: working(address) == 0)
        finally:
            encoder.sign.set()


def hang_up_at_work(address: str, version: str) -> None:
    """Call a tool, and close the connection once the service works on it."""
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "classify",
            "arguments": {"video": VIDEO, "labels": ["red"]},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "classify",
    }
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("POST", "/mcp", json.dumps(call), headers)
    wait_until(lambda: working(address) == 1)
    connection.close()


def working(address: str) -> float:
    """The number of requests that the service works on."""
    page = httpx2.get(f"{address}/metrics").text
    return next(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "kinolex_videos_working"
    )


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)
