"""Kill the service again and again while jobs are in flight; count lost jobs and webhooks."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.labels.service import Service, start
from tests.support.clips import clip_bytes

_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
_WAIT_SECONDS = 600.0


class _Webhooks:
    """The ids of received webhooks, by job."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = {}
        self.count = 0

    def note(self, webhook_id: str, body: bytes) -> None:
        job = json.loads(body)["data"]["id"]
        self.ids.setdefault(job, set()).add(webhook_id)
        self.count += 1


def measure(folder: Path, kills: int, in_flight: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Post `in_flight` jobs before each kill, and wait for all in the end."""
    random = Random(0)
    clip = clip_bytes(seconds_colours=["red", "green"])
    acknowledged: list[str] = []
    with _receiver() as (address, webhooks):
        service = _started(folder)
        for number in range(kills):
            for _ in range(in_flight):
                with suppress(OSError):
                    status, body = service.ask(
                        "POST", f"/jobs?labels=red&callback_url={address}", clip, "video/mp4"
                    )
                    if status == 202:
                        acknowledged.append(json.loads(body)["id"])
            time.sleep(random.random())
            service.kill()
            service = _started(folder)
            say(f"kill {number + 1} of {kills}")
        end = time.monotonic() + _WAIT_SECONDS
        missing = set(acknowledged)
        while missing and time.monotonic() < end:
            missing = {job for job in missing if not _has_succeeded(service, job)}
            time.sleep(0.5)
        while len(webhooks.ids) < len(acknowledged) - len(missing) and time.monotonic() < end:
            time.sleep(0.5)
        service.stop()
    return {
        "kills": kills,
        "jobs_acknowledged": len(acknowledged),
        "jobs_lost": len(missing),
        "webhooks_missing": len(set(acknowledged) - webhooks.ids.keys()),
        "webhooks_received": webhooks.count,
        "webhooks_with_two_ids": sum(len(ids) > 1 for ids in webhooks.ids.values()),
    }


def _started(folder: Path) -> Service:
    settings = {"KINOLEX_CALLBACK_SECRETS": _SECRET, "KINOLEX_CALLBACK_PRIVATE": "true"}
    service = start(["-m", "benchmarks.labels.toy_server"], folder, settings)
    service.wait_until_ready()
    return service


def _has_succeeded(service: Service, job: str) -> bool:
    status, body = service.ask("GET", f"/jobs/{job}")
    return status == 200 and json.loads(body)["status"] == "succeeded"


@contextmanager
def _receiver() -> Iterator[tuple[str, _Webhooks]]:
    webhooks = _Webhooks()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            webhooks.note(
                self.headers["webhook-id"],
                self.rfile.read(int(self.headers["content-length"])),
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # of the base
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", webhooks
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
