"""Jobs over HTTP: created, run, read, cancelled, reported to a webhook."""

import base64
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
import standardwebhooks
from starlette.testclient import TestClient

from app.settings import Settings
from app.store.database import writing
from app.store.jobs import NewWebhook, queue
from tests.support.clips import clip_bytes
from tests.support.fakes import PatientEncoder, colour_tagger
from tests.support.pools import child_processes
from tests.support.servers import open_client

CLIP = clip_bytes(seconds_colours=["red"] * 4 + ["blue"] * 4)
VIDEO = {"Content-Type": "video/mp4"}
SECRET = b"0123456789abcdef01234567"
DECODER = "app.decode.worker"
OPTIONS = {"labels": "red,green,blue", "granularity": "segments"}


def post(client: TestClient, key: str | None = None) -> dict[str, Any]:
    headers = VIDEO if key is None else {**VIDEO, "Idempotency-Key": key}
    answer = client.post("/jobs", content=CLIP, params=OPTIONS, headers=headers)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    """The job once it has ended; the test's timeout is the bound."""
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if job["status"] not in ("queued", "running"):
            return job
        time.sleep(0.05)


def test_the_result_is_the_answer_of_classify(client: TestClient) -> None:
    made = post(client)
    direct = client.post("/classify", content=CLIP, params=OPTIONS, headers=VIDEO).json()

    job = ended(client, made["id"])

    assert made["status"] in ("queued", "running")
    assert (job["status"], job["progress"], job["problem"]) == ("succeeded", 1.0, None)
    for answer in (direct, job["result"]):
        del answer["request_id"], answer["timings"]
    assert job["result"] == direct
    [listed] = client.get("/jobs", params={"status": "succeeded"}).json()["items"]
    assert listed == {**job, "result": None}
    assert client.delete(f"/jobs/{job['id']}").json()["status"] == "succeeded"


def test_the_location_of_a_job_is_its_address(client: TestClient) -> None:
    answer = client.post("/jobs", content=CLIP, params={**OPTIONS, "keep": "true"}, headers=VIDEO)

    job = ended(client, answer.json()["id"])

    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert job["result"]["kept"]
    assert client.get(f"/videos/{job['sha256']}").status_code == 200


def test_a_job_on_a_file_that_is_no_video_fails_with_its_problem(client: TestClient) -> None:
    made = client.post("/jobs", content=b"no video", headers=VIDEO).json()

    job = ended(client, made["id"])

    assert (job["status"], job["problem"]["code"]) == ("failed", "not_a_video")
    assert job["problem"]["status"] == 415


def test_an_idempotency_key_stands_for_one_job(client: TestClient) -> None:
    first = post(client, "k-1")
    again = post(client, "k-1")
    other = client.post("/jobs", content=CLIP, headers={**VIDEO, "Idempotency-Key": "k-1"})

    assert again["id"] == first["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_cancelled_job_ends_and_gives_its_slot_to_the_next(
    make_settings: Callable[..., Settings],
) -> None:
    encoder = PatientEncoder()
    encoder.sign.set()
    encoder.stop_after = 1  # the first is of the service's start
    settings = make_settings(job_slots=1)
    with open_client(settings, tagger=colour_tagger(encoder=encoder)) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.05)
        first, second = post(client), post(client)
        while client.get(f"/jobs/{first['id']}").json()["status"] != "running":
            time.sleep(0.05)

        cancelled = client.delete(f"/jobs/{first['id']}").json()
        encoder.more.set()

        assert cancelled["status"] == "cancelled"
        assert ended(client, second["id"])["status"] == "succeeded"
        assert client.get(f"/jobs/{first['id']}").json()["status"] == "cancelled"


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "by another process"])
def test_a_cancelled_job_frees_the_decode_slot_that_it_would_never_leave(
    is_elsewhere: bool, make_settings: Callable[..., Settings]
) -> None:
    hour = 3600.0
    settings = make_settings(
        job_slots=1, request_timeout_seconds=hour, progress_timeout_seconds=hour
    )
    others = child_processes(DECODER)
    with open_client(settings) as client:
        (stopped,) = child_processes(DECODER) - others
        os.kill(stopped, signal.SIGSTOP)
        first, second = post(client), post(client)
        while "kinolex_videos_working 1.0" not in client.get("/metrics").text:
            time.sleep(0.05)

        if is_elsewhere:
            client.app_state["jobs"].cancel(first["id"])
        else:
            client.delete(f"/jobs/{first['id']}")

        while stopped in child_processes(DECODER):
            time.sleep(0.05)
        assert ended(client, second["id"])["status"] == "succeeded"
        assert client.post("/classify", content=CLIP, headers=VIDEO).status_code == 200


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"top_k": "many"}, "#/top_k"),
        ({"colour": "red"}, "#/colour"),
        ({"callback_url": "https://example.org/"}, "#/callback_url"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, str], pointer: str, client: TestClient
) -> None:
    refused = client.post("/jobs", content=CLIP, params=options, headers=VIDEO)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


def test_a_job_that_does_not_exist_is_not_found(client: TestClient) -> None:
    for answer in (client.get(f"/jobs/{'0' * 32}"), client.delete(f"/jobs/{'0' * 32}")):
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def test_the_list_has_pages(client: TestClient) -> None:
    made = [post(client)["id"] for _ in range(3)]

    first = client.get("/jobs", params={"page_size": 2}).json()
    token = first["next_page_token"]
    second = client.get("/jobs", params={"page_size": 2, "page_token": token}).json()

    assert [job["id"] for job in first["items"] + second["items"]] == made[::-1]
    assert second["next_page_token"] == ""


class Receiver(BaseHTTPRequestHandler):
    """Refuses the first message and accepts the rest."""

    received: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:  # the name that http.server calls
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503 if not self.received else 204)
        self.end_headers()
        self.received.append(({k.lower(): v for k, v in self.headers.items()}, body))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # as in the base
        return


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.received.clear()
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_sent_signed_until_it_is_accepted(
    make_settings: Callable[..., Settings], receiver: str
) -> None:
    settings = make_settings(callback_secrets=(SECRET,), callback_private=True)
    with open_client(settings) as client:
        made = client.post(
            "/jobs", content=CLIP, params={**OPTIONS, "callback_url": receiver}, headers=VIDEO
        ).json()
        while len(Receiver.received) < 2:
            time.sleep(0.05)

    (first, _), (headers, body) = Receiver.received
    assert first["webhook-id"] == headers["webhook-id"] == f"msg_{made['id']}"
    # the library that receivers use
    library = standardwebhooks.Webhook(base64.b64encode(SECRET).decode())
    message = library.verify(body, headers)
    assert message["data"] == {"id": made["id"], "status": "succeeded"}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library.verify(body.replace(b"succeeded", b"failed"), headers)


def test_a_message_to_a_name_that_no_host_has_keeps_back_no_other(
    make_settings: Callable[..., Settings], receiver: str
) -> None:
    settings = make_settings(callback_secrets=(SECRET,), callback_private=True)
    with open_client(settings) as client:
        with writing(client.app_state["store"].engine) as connection:
            # older releases accepted such addresses
            queue(connection, [NewWebhook("msg_0", "http://hook..example.org/", "{}")])
            queue(connection, [NewWebhook("msg_1", receiver, "{}")])
        while len(Receiver.received) < 2:
            time.sleep(0.05)

        refused = client.post(
            "/jobs",
            content=CLIP,
            params={"callback_url": "http://hook..example.org/"},
            headers=VIDEO,
        )

    assert refused.json()["errors"][0]["pointer"] == "#/callback_url"
    assert {headers["webhook-id"] for headers, _ in Receiver.received} == {"msg_1"}


def test_a_private_callback_is_refused_unless_allowed(
    make_settings: Callable[..., Settings], receiver: str
) -> None:
    with open_client(make_settings(callback_secrets=(SECRET,))) as client:
        refused = client.post(
            "/jobs", content=CLIP, params={"callback_url": receiver}, headers=VIDEO
        )

    assert refused.json()["errors"][0]["pointer"] == "#/callback_url"
