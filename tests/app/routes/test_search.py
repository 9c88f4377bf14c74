"""`/search` over HTTP: by words and by a clip."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.servers import open_client

VIDEO = {"Content-Type": "video/mp4"}
RED_GREEN = clip_bytes(seconds_colours=["red"] * 8 + ["green"] * 8)
BLUE = clip_bytes(seconds_colours=["blue"] * 8)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service that keeps two films."""
    folder = tmp_path_factory.mktemp("archive")
    settings = Settings(data_dir=folder, decode_workers=1, log_level="error")
    with open_client(settings) as client:
        for film, camera in ((RED_GREEN, "north"), (BLUE, "south")):
            options = {"keep": "true", "metadata": f'{{"camera": "{camera}"}}'}
            client.post("/classify", content=film, params=options, headers=VIDEO)
        yield client


def found(response: Any) -> list[tuple[str, float, float]]:
    assert response.status_code == 200, response.text
    return [
        (item["video"]["metadata"]["camera"], item["start"], item["end"])
        for item in response.json()["items"]
    ]


def test_words_find_the_span_that_shows_them(archive: TestClient) -> None:
    answer = archive.get("/search", params={"q": "green", "min_score": 0.7})

    [(camera, start, end)] = found(answer)
    assert camera == "north"
    assert 6 <= start <= 8
    assert end == pytest.approx(16, abs=0.2)
    assert answer.json()["videos"] == 2


def test_a_clip_finds_the_spans_that_are_like_it(archive: TestClient) -> None:
    clip = clip_bytes(seconds_colours=["blue"])

    raw = archive.post("/search", content=clip, params={"min_score": 0.9}, headers=VIDEO)
    form = archive.post("/search", files={"file": clip}, data={"min_score": "0.9"})

    assert [camera for camera, _, _ in found(raw)] == ["south"]
    assert found(form) == found(raw)


def test_filters_and_pages_apply(archive: TestClient) -> None:
    params: dict[str, Any] = {"q": "red", "page_size": 1}
    first = archive.get("/search", params=params).json()
    second = archive.get("/search", params={**params, "page_token": first["next_page_token"]})

    assert (
        found(archive.get("/search", params={"q": "red", "metadata": '{"camera": "west"}'})) == []
    )
    assert first["items"] != second.json()["items"]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"q": ""},
        {"q": "\u0000"},
        {"q": "red", "min_score": "2"},
        {"q": "red", "colour": "red"},
        {"q": "red", "page_token": "WyIiLCAiIl0"},
        {"q": "red", "metadata": "{"},
    ],
)
def test_a_wrong_parameter_is_refused(params: dict[str, str], archive: TestClient) -> None:
    assert archive.get("/search", params=params).status_code == 422


def test_a_token_is_refused_for_another_question(archive: TestClient) -> None:
    token = archive.get("/search", params={"q": "red", "page_size": 1}).json()["next_page_token"]

    refused = archive.get("/search", params={"q": "blue", "page_size": 1, "page_token": token})

    assert refused.json()["errors"][0]["pointer"] == "#/page_token"


@pytest.mark.parametrize("wrong", [{"metadata": "{"}, {"page_token": "WyIiLCAiIl0"}], ids=str)
def test_wrong_options_are_refused_before_a_clip_is_decoded(
    archive: TestClient, wrong: dict[str, str]
) -> None:
    raw = archive.post("/search", content=b"no video", params=wrong, headers=VIDEO)
    form = archive.post("/search", files={"file": b"no video"}, data=wrong)

    assert [answer.json()["code"] for answer in (raw, form)] == ["invalid_parameter"] * 2
