"""`POST /v1/embeddings`, called by OpenAI's own client."""

import base64
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from app.main import create_app
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.keys import issue_key
from tests.support.servers import open_client, running_server

RED = clip_bytes(seconds_colours=["red"])


def data_url(content: bytes, media_type: str = "video/mp4") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service."""
    folder = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=folder, decode_workers=1, log_level="error")
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    """OpenAI's client with the address of the service."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_texts_and_videos_lie_in_one_space(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="colours", input=["red", data_url(RED), "blue"])

    red, video, blue = [each.embedding for each in answer.data]
    assert [each.index for each in answer.data] == [0, 1, 2]
    assert red == [1.0, 0.0, 0.0]
    assert blue == [0.0, 0.0, 1.0]
    assert video == pytest.approx(red, abs=0.2)
    assert answer.model == "colours"


def test_one_text_need_not_be_a_list(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="kinolex", input="green", dimensions=3, user="me")

    assert answer.data[0].embedding == [0.0, 1.0, 0.0]


def test_numbers_are_sent_as_asked(client: openai.OpenAI) -> None:
    numbers = client.embeddings.create(model="colours", input="red", encoding_format="float")
    raw = client.embeddings.with_raw_response.create(
        model="colours", input="red", encoding_format="base64"
    )

    assert numbers.data[0].embedding == [1.0, 0.0, 0.0]
    text = raw.http_response.json()["data"][0]["embedding"]
    assert struct.unpack("<3f", base64.b64decode(text)) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"model": "text-embedding-3-small"}, "#/model"),
        ({"dimensions": 2}, "#/dimensions"),
        ({"input": []}, "#/input"),
        ({"input": ["red", ""]}, "#/input/1"),
        ({"input": [1, 2]}, "#/input/0"),
        ({"input": ["red"] * 1_001}, "#/input"),
        ({"input": [data_url(RED)] * 11}, "#/input"),
        ({"input": "data:video/mp4,AAAA"}, "#/input/0"),
        ({"input": "data:video/mp4;base64,AA*A"}, "#/input/0"),
        ({"input": "red", "extra_body": {"speed": 2}}, "#/speed"),
    ],
)
def test_a_wrong_field_is_pointed_to(
    wrong: dict[str, Any], pointer: str, client: openai.OpenAI
) -> None:
    asked: dict[str, Any] = {"model": "colours", "input": "red", **wrong}
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.embeddings.create(**asked)

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "invalid_parameter"
    assert [each["pointer"] for each in caught.value.body["errors"]][:1] == [pointer]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (data_url(b"no video at all"), "not_a_video"),
        (data_url(RED[:200]), "corrupt"),
        ("data:video/mp4;base64,", "empty_file"),
        (data_url(RED, "text/html"), "unsupported_media_type"),
    ],
)
def test_a_file_that_is_no_video_is_refused_as_an_upload_is(
    url: str, code: str, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model="colours", input=["red", url])

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == code
    assert "input/1" in caught.value.body["detail"]


def test_a_body_over_the_limit_is_refused(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings(max_json_bytes=2_000)) as client:
        answer = client.post(
            "/v1/embeddings", json={"model": "colours", "input": data_url(b"0" * 4_000)}
        )

    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")


def test_no_file_stays_open_after_an_answer(client: openai.OpenAI) -> None:
    def uploads() -> int:
        links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sum("kinolex-uploads" in str(link) for link in links)

    client.embeddings.create(model="colours", input=[data_url(RED)] * 2)

    assert uploads() == 0


def test_the_key_needs_the_scope_classify_and_seconds_of_video(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    keys = {scope: issue_key(settings, scope).token.text for scope in ("classify", "labels:read")}
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        url = f"{address}/v1"
        with openai.OpenAI(base_url=url, api_key=keys["classify"]) as client:
            assert client.embeddings.create(model="colours", input=data_url(RED)).data
        with (
            openai.OpenAI(base_url=url, api_key=keys["labels:read"]) as client,
            pytest.raises(openai.PermissionDeniedError),
        ):
            client.embeddings.create(model="colours", input="red")
        with (
            openai.OpenAI(base_url=url, api_key="kx_wrong") as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.embeddings.create(model="colours", input="red")
