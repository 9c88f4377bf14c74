"""The check in front of every request, on a running service."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
import pytest

from app.main import create_app
from app.settings import Settings
from app.store.access import KeyStore, Limits
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.keys import ALL_SCOPES, bearer, issue_key
from tests.support.servers import open_client, running_server

SEVERAL = frozenset(["sports", "winter"])


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@contextmanager
def serving(settings: Settings) -> Iterator[httpx2.Client]:
    """A client of a running service with these settings."""
    with (
        running_server(create_app(settings, tagger=colour_tagger())) as address,
        httpx2.Client(base_url=address, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def video() -> bytes:
    return clip_bytes(seconds_colours=("red", "green"))


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_refusal_comes_before_the_body_is_read(settings: Settings, accept: str) -> None:
    key = issue_key(settings, "labels:read")
    with serving(settings) as client:
        for authorization, status in (("", 401), (f"Bearer {key.token.text}", 403)):
            lines = [
                "POST /classify HTTP/1.1",
                "Host: localhost",
                f"Accept: {accept}",
                "Content-Type: video/mp4",
                "Content-Length: 1000000",
                *([f"Authorization: {authorization}"] if authorization else []),
            ]
            address = urlsplit(str(client.base_url))
            with socket.create_connection((address.hostname or "", address.port or 0)) as raw:
                raw.sendall("\r\n".join([*lines, "", ""]).encode())
                # not a byte of the body was sent
                answer = raw.recv(65_536).decode()

            assert answer.startswith(f"HTTP/1.1 {status} ")
            assert "application/problem+json" in answer
            assert "www-authenticate: Bearer" in answer


def test_a_key_may_tag_with_events_and_without(settings: Settings, video: bytes) -> None:
    key = issue_key(settings, "classify")
    with serving(settings) as client:
        for accept in ("application/json", "text/event-stream"):
            answer = client.post(
                "/classify?granularity=segments",
                files={"file": video},
                headers={"Accept": accept, **bearer(key)},
            )
            assert answer.status_code == 200
            assert '"tags"' in answer.text


def test_a_key_with_label_sets_reaches_no_other_set(settings: Settings, video: bytes) -> None:
    key = issue_key(settings, "classify", "labels:read", "labels:write", label_sets=SEVERAL)
    everywhere = issue_key(settings, *ALL_SCOPES)
    new = {"If-None-Match": "*"}
    form = {"file": video}
    with serving(settings) as client:
        own, other = (httpx2.Headers(bearer(each)) for each in (key, everywhere))
        client.put("/label-sets/secret", json={"labels": ["x"]}, headers={**other, **new})
        made = client.put("/label-sets/sports", json={"labels": ["red"]}, headers={**own, **new})
        listed = client.get("/label-sets", headers=own).json()["items"]
        tagged = client.post("/classify", files=form, data={"label_set": "sports"}, headers=own)
        refused = [
            client.get("/labels", headers=own),
            client.delete("/label-sets/secret/labels/x", headers=own),
            client.get("/label-sets/secret", headers=own),
            client.put("/label-sets/winter", json={"copy_of": "secret"}, headers={**own, **new}),
            client.post("/classify", files=form, headers=own),
            client.post("/classify", files=form, data={"label_set": "secret"}, headers=own),
            client.post("/classify?label_set=secret", files=form, headers=own),
            client.post("/labels/x/examples", files=form, headers=own),
        ]
        of_the_request = client.post("/classify", files=form, data={"labels": "red"}, headers=own)

    assert made.status_code == tagged.status_code == of_the_request.status_code == 200
    assert [each["name"] for each in listed] == ["sports"]
    assert [code(each) for each in refused] == [(403, "label_set_not_allowed")] * len(refused)


def test_replicas_share_limits_and_answers_state_them(settings: Settings, video: bytes) -> None:
    limits = Limits(requests_per_day=6, video_seconds_per_day=5)
    key = issue_key(settings, "classify", limits=limits)

    with serving(settings) as first, serving(settings) as second:
        replicas = [first, second]
        answers = [
            replicas[number % 2].post(
                "/classify?labels=red",
                content=video,
                headers={"Content-Type": "video/mp4", **bearer(key)},
            )
            for number in range(8)
        ]

    # videos of 2 s: the third exceeds the 5 s
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 200, 200, 429, 429, 429, 429, 429]
    assert '"requests-per-day";q=6;w=86400' in answers[0].headers["ratelimit-policy"]
    assert '"requests-per-day";r=5;t=' in answers[0].headers["ratelimit"]
    assert '"requests-per-day";r=0;t=' in answers[-1].headers["ratelimit"]
    for refused in answers[3:]:
        assert refused.json()["code"] == "quota_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 2 * 86_400


def test_the_videos_of_jobs_count_like_others(settings: Settings, video: bytes) -> None:
    key = issue_key(settings, "classify", limits=Limits(video_seconds_per_day=5))
    ended = []
    with serving(settings) as client:
        client.headers.update(bearer(key))
        for _ in range(3):
            made = client.post(
                "/jobs?labels=red", content=video, headers={"Content-Type": "video/mp4"}
            )
            while (job := client.get(f"/jobs/{made.json()['id']}").json())["finished_at"] is None:
                time.sleep(0.05)
            ended.append(job["status"])
        refused = client.post(
            "/classify?labels=red", content=video, headers={"Content-Type": "video/mp4"}
        )

    # videos of 2 s: the third exceeds the 5 s
    assert ended == ["succeeded"] * 3
    assert code(refused) == (429, "quota_exceeded")


def test_a_rotated_key_overlaps_and_a_revoked_one_ends(settings: Settings) -> None:
    admin = issue_key(settings, *ALL_SCOPES)
    with serving(settings) as client, serving(settings) as replica:
        client.headers.update(bearer(admin))
        made = client.post("/keys", json={"name": "shop", "scopes": ["labels:read"]})
        first = made.json()["key"]
        path = f"/keys/{made.json()['id']}"
        assert made.headers["location"] == path
        assert made.headers["cache-control"] == "no-store"

        def status(key: str, server: httpx2.Client = client) -> int:
            return server.get("/labels", headers=bearer(key)).status_code

        assert status(first, replica) == 200
        second = client.post(f"{path}/rotate", json={}).json()["key"]
        assert (status(first), status(second)) == (200, 200)
        third = client.post(f"{path}/rotate", json={"overlap_seconds": 0}).json()["key"]
        assert (status(first), status(second), status(third)) == (401, 401, 200)
        assert status(third, replica) in {200, 401}

        revoked = client.delete(path)
        assert revoked.json()["revoked_at"] is not None
        assert status(third) == 401
        assert code(client.delete(path)) == (404, "key_not_found")
        deadline = time.monotonic() + 30
        while status(first, replica) == 200:
            assert time.monotonic() < deadline

        listed = client.get("/keys").json()["items"]
    assert {each["id"] for each in listed} == {made.json()["id"], admin.key.id}
    assert not any(secret in json.dumps(listed) for secret in (first, second, third))


def test_a_key_gives_no_rights_that_it_lacks(settings: Settings) -> None:
    limits = Limits(requests_per_minute=100)
    key = issue_key(settings, "admin", "classify", label_sets=SEVERAL, limits=limits)
    stronger = issue_key(settings, *ALL_SCOPES)
    wide = {"name": "x", "scopes": [], "label_sets": ["sports"]}
    within = {**wide, "limits": {"requests_per_minute": 100}}
    with serving(settings) as client:
        client.headers.update(bearer(key))
        refused = [
            client.post("/keys", json=wide),
            client.post("/keys", json={**within, "limits": {"requests_per_minute": 101}}),
            client.post("/keys", json={**within, "limits": {"requests_per_day": 5}}),
            client.post("/keys", json={**within, "label_sets": None}),
            client.post("/keys", json={**within, "label_sets": ["sports", "default"]}),
            client.post("/keys", json={**within, "scopes": ["labels:read"]}),
            client.post(f"/keys/{stronger.key.id}/rotate", json={}),
            client.get(f"/keys/{stronger.key.id}"),
            client.delete(f"/keys/{stronger.key.id}"),
        ]
        for method in ("PATCH", "PUT", "POST"):
            changed = client.request(
                method, f"/keys/{key.key.id}", json={"scopes": sorted(ALL_SCOPES)}
            )
            assert code(changed) == (405, "method_not_allowed")
        made = client.post("/keys", json={**within, "scopes": ["admin"]})
        listed = client.get("/keys").json()["items"]

    assert [code(each) for each in refused] == [(403, "rights_exceeded")] * len(refused)
    assert made.status_code == 201
    assert {each["id"] for each in listed} == {key.key.id, made.json()["id"]}


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"name": "", "scopes": []}, "#/name"),
        ({"name": "x\u0000", "scopes": []}, "#/name"),
        ({"name": "x", "scopes": ["root"]}, "#/scopes/0"),
        ({"name": "x", "scopes": [], "label_sets": ["a/b"]}, "#/label_sets/0"),
        ({"name": "x", "scopes": [], "limits": {"requests_per_minute": 0}}, None),
        ({"name": "x", "scopes": [], "created_by": "me"}, "#/created_by"),
        ({"scopes": []}, "#/name"),
    ],
    ids=str,
)
def test_a_wrong_key_is_described(
    settings: Settings, wanted: dict[str, object], pointer: str | None
) -> None:
    admin = issue_key(settings, *ALL_SCOPES)
    with open_client(settings) as client:
        answer = client.post("/keys", json=wanted, headers=bearer(admin))

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    pointers = [each["pointer"] for each in answer.json()["errors"]]
    assert pointers == [pointer or "#/limits/requests_per_minute"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "203.0.113.7"},
    ],
    ids=str,
)
def test_without_keys_a_client_behind_a_proxy_is_not_on_this_computer(
    server: str, headers: dict[str, str]
) -> None:
    assert httpx2.get(f"{server}/labels").status_code == 200
    assert code(httpx2.get(f"{server}/labels", headers=headers)) == (401, "key_required")


def test_the_open_mode_ends_with_the_first_key(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(open_without_keys=True)
    proxied = {"X-Forwarded-For": "203.0.113.7"}
    with serving(settings) as client:
        assert client.get("/labels", headers=proxied).status_code == 200
        assert client.get("/model", headers=proxied).json()["access"] == "open"
        assert client.get("/keys", headers=proxied).status_code == 403

        key = issue_key(settings)

        deadline = time.monotonic() + 30
        while client.get("/labels", headers=proxied).status_code != 401:
            assert time.monotonic() < deadline
        assert client.get("/model", headers=bearer(key)).json()["access"] == "keys"


def test_a_page_that_is_allowed_may_ask_for_permission_to_send_a_key(
    make_settings: Callable[..., Settings],
) -> None:
    origin = "https://app.example"
    settings = make_settings(allowed_origins=origin)
    issue_key(settings)
    with open_client(settings) as client:
        preflight = client.options(
            "/labels",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        refused = client.get("/labels", headers={"Origin": origin})

    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert refused.headers["access-control-allow-origin"] == origin


def test_the_last_use_is_stored_when_the_service_stops(settings: Settings) -> None:
    key = issue_key(settings)
    with open_client(settings) as client:
        assert client.get("/model", headers=bearer(key)).status_code == 200

    store = KeyStore.open(settings.store_url)
    found = store.find(key.key.id)
    store.close()
    assert found is not None
    assert found.last_used_at is not None


def test_neither_keys_nor_label_texts_nor_file_names_are_logged(
    make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str], video: bytes
) -> None:
    settings = make_settings(log_level="debug", log_format="json")
    key = issue_key(settings, *ALL_SCOPES, name="private name")
    with open_client(settings) as client:
        client.put("/labels", json={"labels": ["private label"]}, headers=bearer(key))
        client.get("/labels/private label", headers=bearer(key))
        client.get("/labels?q=private", headers=bearer("kx_private"))
        files = {"file": ("private.mp4", video, "video/mp4")}
        client.post("/classify", files=files, data={"labels": "private"}, headers=bearer(key))
        client.post("/classify", files={"private": ("private.mp4", b"")}, headers=bearer(key))

    logged = capfd.readouterr().err
    assert "/classify" in logged
    assert "private" not in logged
    assert key.token.secret not in logged


def test_a_service_without_keys_says_so_when_it_starts(
    make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    for overrides, sentence in (
        ({}, "only clients on this computer are answered"),
        ({"open_without_keys": True}, "every client that reaches the port is answered"),
    ):
        with open_client(make_settings(log_level="warning", **overrides)):
            pass
        assert sentence in capfd.readouterr().err
