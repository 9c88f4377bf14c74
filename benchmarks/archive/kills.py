"""Kill the service again and again while jobs are in flight; count lost jobs and webhooks."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Literal, TypeAlias

from sqlalchemy import Engine, func, select, update

from app.store.database import open_engine, reading, writing
from app.store.jobs.tables import JobRow
from benchmarks.labels.service import Service, start
from tests.support.clips import clip_bytes
from tests.support.databases import has_postgres, new_database, running_postgres

_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
_WAIT_SECONDS = 1_800.0
# Requests under way at a time, and new ones for each kill: some are answered while it happens.
_POSTERS = 4
_MIN_POSTED = 5
# One job at a time, of a film: a queue stays for the next kill.
_SLOTS = "1"
_COLOURS = ("red", "green", "blue") * 20

Database: TypeAlias = Literal["sqlite", "postgresql"]


class _Webhooks:
    """The ids of received webhooks, by job."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = {}
        self.count = 0

    def note(self, webhook_id: str, body: bytes) -> None:
        job = json.loads(body)["data"]["id"]
        self.ids.setdefault(job, set()).add(webhook_id)
        self.count += 1


def measure(
    folder: Path,
    kills: int,
    in_flight: int,
    databases: Sequence[Database],
    say: Callable[[str], None],
    *,
    end_leases: bool = False,
) -> dict[str, Any]:
    """Kill a service on each of the databases, and sum up what that cost.

    With `end_leases` a killed service's jobs can be run at once, not only 30 s after the kill.
    """
    total: Counter[str] = Counter()
    unfinished: list[int] = []
    for name in databases:
        (folder / name).mkdir()
        with _database(name, folder / name) as url:
            figures, waiting = _killed(
                folder / name, url, kills, in_flight, say, end_leases=end_leases
            )
        say(f"{name}: {figures}")
        total.update(figures)
        unfinished += waiting
    return {
        **total,
        "kills_databases": " ".join(databases),
        "jobs_in_flight_median": median(unfinished),
        "jobs_in_flight_min": min(unfinished),
    }


def installed() -> list[Database]:
    """Return the databases that can be used here."""
    return ["sqlite", "postgresql"] if has_postgres() else ["sqlite"]


@contextmanager
def _database(name: Database, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'labels.sqlite'}"
    else:
        with running_postgres() as socket_folder:
            yield new_database(socket_folder)


def _killed(
    folder: Path,
    url: str,
    kills: int,
    in_flight: int,
    say: Callable[[str], None],
    *,
    end_leases: bool,
) -> tuple[dict[str, int], list[int]]:
    """Kill the service with `in_flight` jobs unfinished, and wait for all jobs in the end.

    Returns what the kills cost, and the number of unfinished jobs at each.
    """
    random = Random()
    film = clip_bytes(seconds_colours=_COLOURS)
    acknowledged: list[str] = []
    unfinished: list[int] = []
    engine = open_engine(url)
    with _receiver() as (address, webhooks):
        query = f"/jobs?labels=red&granularity=segments&callback_url={address}"

        def post() -> None:
            with suppress(OSError):
                status, body = service.ask("POST", query, film, "video/mp4")
                if status == 202:
                    acknowledged.append(json.loads(body)["id"])

        service = _started(folder, url)
        for number in range(kills):
            # some end before the kill
            missing = 2 * in_flight - (unfinished[-1] if unfinished else 0)
            before = len(acknowledged)
            with ThreadPoolExecutor(_POSTERS) as posters:
                posts = [posters.submit(post) for _ in range(max(_MIN_POSTED, missing))]
                wanted = before + max(1, missing - _POSTERS)
                while len(acknowledged) < wanted and not all(each.done() for each in posts):
                    time.sleep(0.01)
                time.sleep(random.random() * 0.5)
                service.kill()
            unfinished.append(_unfinished(engine))
            if end_leases:
                _end_leases(engine)
            service = _started(folder, url)
            say(f"kill {number + 1} of {kills}: {unfinished[-1]} jobs in flight")
        end = time.monotonic() + _WAIT_SECONDS
        lost = set(acknowledged)
        while lost and time.monotonic() < end:
            lost = {job for job in lost if not _has_succeeded(service, job)}
            time.sleep(0.5)
        while set(acknowledged) - webhooks.ids.keys() - lost and time.monotonic() < end:
            time.sleep(0.5)
        service.stop()
    engine.dispose()
    figures = {
        "kills": kills,
        "jobs_acknowledged": len(acknowledged),
        "jobs_lost": len(lost),
        "webhooks_missing": len(set(acknowledged) - webhooks.ids.keys()),
        "webhooks_received": webhooks.count,
        "webhooks_with_two_ids": sum(len(ids) > 1 for ids in webhooks.ids.values()),
    }
    return figures, unfinished


def _unfinished(engine: Engine) -> int:
    with reading(engine) as connection:
        count = select(func.count()).where(JobRow.status.in_(["queued", "running"]))
        return int(connection.execute(count).scalar_one())


def _end_leases(engine: Engine) -> None:
    with writing(engine) as connection:
        running = update(JobRow).where(JobRow.status == "running")
        connection.execute(running.values(lease_until=datetime.now(UTC)))


def _started(folder: Path, url: str) -> Service:
    settings = {
        "KINOLEX_CALLBACK_SECRETS": _SECRET,
        "KINOLEX_CALLBACK_PRIVATE": "true",
        "KINOLEX_DATABASE_URL": url,
        "KINOLEX_JOB_SLOTS": _SLOTS,
    }
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
