"""Two replicas on one PostgreSQL keep, delete, list and re-tag videos while one is killed."""

import hashlib
import math
import random
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.app.test_replicas import Replicas, running
from tests.support.clips import clip_bytes
from tests.support.history import Change, History, Look

RED = clip_bytes(seconds_colours=["red"])
VIDEO = {"Content-Type": "video/mp4"}
LABELS = {"labels": "red,blue"}
SECONDS = 60


def video(number: int) -> tuple[str, bytes]:
    """A red clip of its own, which differs from others in a box without content; its SHA-256."""
    content = RED + struct.pack(">I4sQ", 16, b"free", number)
    return hashlib.sha256(content).hexdigest(), content


def write_until(stop: threading.Event, replicas: Replicas, history: History, writer: int) -> None:
    generator = random.Random(writer)
    number = writer
    while not stop.is_set():
        number += 100
        name, content = video(number)
        for step in range(generator.randint(1, 4)):
            is_kept = step % 2 == 0
            address = generator.choice(replicas.addresses)
            sent = time.monotonic()
            try:
                if is_kept:
                    answer = httpx2.post(
                        f"{address}/classify",
                        content=content,
                        params={**LABELS, "keep": "true"},
                        headers=VIDEO,
                        timeout=SECONDS,
                    )
                else:
                    answer = httpx2.delete(f"{address}/videos/{name}", timeout=SECONDS)
            except httpx2.TransportError:
                # killed: whether it happened is unknown
                history.changes.append(Change(name, is_kept, sent, math.inf))
                break
            assert answer.status_code == 200, answer.text
            history.changes.append(Change(name, is_kept, sent, time.monotonic()))


def read_until(stop: threading.Event, replicas: Replicas, history: History, reader: int) -> None:
    generator = random.Random(100 + reader)
    while not stop.is_set():
        if not history.changes:
            continue
        some = generator.choice(history.changes[-5:]).name
        ask = generator.choice(LOOKS)
        sent = time.monotonic()
        try:
            names = ask(generator.choice(replicas.addresses), some)
        except httpx2.TransportError:
            continue
        asked = frozenset([some]) if ask is tagged_again else None
        history.looks.append(Look(names, sent, time.monotonic(), asked))


def listed(address: str, _: str) -> frozenset[str]:
    answer = httpx2.get(f"{address}/videos", params={"page_size": 1000}, timeout=SECONDS)
    body = answer.raise_for_status().json()
    assert body["next_page_token"] == ""
    return frozenset(item["sha256"] for item in body["items"])


def found(address: str, _: str) -> frozenset[str]:
    names: set[str] = set()
    token = ""
    while True:
        params = {"q": "red", "page_size": "100", "page_token": token}
        answer = httpx2.get(f"{address}/search", params=params, timeout=SECONDS)
        body = answer.raise_for_status().json()
        names |= {item["video"]["sha256"] for item in body["items"]}
        token = body["next_page_token"]
        if not token:
            return frozenset(names)


def tagged_again(address: str, name: str) -> frozenset[str]:
    answer = httpx2.post(
        f"{address}/videos/{name}/classify", json={"labels": ["red", "blue"]}, timeout=SECONDS
    )
    if answer.status_code == 404:
        assert answer.json()["code"] == "video_not_found"
        return frozenset()
    assert answer.raise_for_status().json()["tags"][0]["label"] == "red"
    return frozenset([name])


LOOKS: list[Callable[[str, str], frozenset[str]]] = [listed, found, tagged_again]
KEPT = Change("a", True, 0, 1)
DELETED = Change("a", False, 2, 3)
THERE, GONE = frozenset({"a"}), frozenset[str]()


@pytest.mark.parametrize(
    ("changes", "looks"),
    [
        ([KEPT], [Look(GONE, 4, 5)]),
        ([KEPT, DELETED], [Look(THERE, 4, 5)]),
        ([KEPT], [Look(THERE, 0.1, 0.2), Look(GONE, 0.3, 0.4)]),
        ([KEPT, Change("a", False, 2, math.inf)], [Look(GONE, 4, 5), Look(THERE, 6, 7)]),
        ([Change("a", True, 4, 5)], [Look(THERE, 0, 1)]),
    ],
    ids=["lost", "back", "seen and lost", "back without an answer", "before it was kept"],
)
def test_a_history_that_breaks_the_promise_is_noticed(
    changes: list[Change], looks: list[Look]
) -> None:
    maybe = Change("b", True, 4, math.inf)
    overlapping = [Look(THERE, 0.5, 9), Look(GONE, 2.5, 9), Look(GONE, 4, 5)]
    History([KEPT, DELETED, maybe], overlapping).check()
    History([KEPT, maybe], [Look(THERE | {"b"}, 6, 7, frozenset("b")), Look(THERE, 4, 5)]).check()

    with pytest.raises(AssertionError):
        History(changes, looks).check()


@pytest.mark.postgres
@pytest.mark.slow
def test_no_acknowledged_analysis_is_lost_and_no_deleted_one_comes_back(
    postgres_url: str, tmp_path: Path
) -> None:
    replicas = Replicas(postgres_url, tmp_path, count=2)
    history = History()
    try:
        with running(
            [
                *(lambda stop, n=n: write_until(stop, replicas, history, n) for n in range(2)),
                *(lambda stop, n=n: read_until(stop, replicas, history, n) for n in range(2)),
            ]
        ):
            while len(history.changes) < 30:
                time.sleep(0.05)
            replicas.kill_and_restart(0)
        for address in replicas.addresses:
            for ask in (listed, found):
                sent = time.monotonic()
                history.looks.append(Look(ask(address, ""), sent, time.monotonic()))
    finally:
        replicas.close()

    assert len(history.looks) > 30
    assert any(not change.exists for change in history.changes)
    history.check()
