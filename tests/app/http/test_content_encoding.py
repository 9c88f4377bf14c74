"""Compressed bodies are refused wherever a body may be sent, with the reason."""

import gzip

import pytest
from starlette.testclient import TestClient

ADDRESSES = [
    ("PUT", "/labels", "application/json"),
    ("PUT", "/labels", "text/csv"),
    ("PUT", "/labels", "application/x-ndjson"),
    ("PUT", "/label-sets/sports", "application/json"),
    ("POST", "/embed", "application/json"),
    ("POST", "/embed", "video/mp4"),
    ("POST", "/classify", "video/mp4"),
    ("POST", "/classify", "multipart/form-data; boundary=x"),
    ("POST", "/labels/juggling/examples", "video/mp4"),
]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, deflate"])
def test_a_compressed_body_is_refused_everywhere(shared_client: TestClient, encoding: str) -> None:
    for method, path, content_type in ADDRESSES:
        answer = shared_client.request(
            method,
            path,
            content=gzip.compress(b'{"labels": ["rowing"]}'),
            headers={"Content-Type": content_type, "Content-Encoding": encoding},
        )

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert encoding.split(", ")[-1].lower() in answer.json()["detail"]
        assert answer.headers["accept-encoding"] == "identity"


def test_a_body_that_is_not_compressed_may_say_so(client: TestClient) -> None:
    answer = client.put(
        "/labels", json={"labels": ["rowing"]}, headers={"Content-Encoding": "Identity"}
    )

    assert answer.status_code == 200
