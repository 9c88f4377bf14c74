"""Three replicas on one PostgreSQL, written, read and killed at once: acknowledged writes last."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.support import history as existence
from tests.support.clips import clip_bytes
from tests.support.paths import ROOT

REPLICAS = 3
KILLS = 3
ALL_LABELS = "100000"


@dataclass(frozen=True)
class Write:
    """An acknowledged PUT: when it was sent and answered, and the revision it was given."""

    sent: float
    answered: float
    revision: int
    name: str


@dataclass(frozen=True)
class Read:
    """An answer of /classify with every label of the set."""

    sent: float
    answered: float
    revision: int
    names: frozenset[str]


@dataclass
class History:
    """What the clients saw, in no order."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


class Replicas:
    """Running processes of the service; a killed one comes back on another port."""

    def __init__(self, url: str, folder: Path, count: int = REPLICAS) -> None:
        self._command = [sys.executable, "-m", "tests.support.replica", url, str(folder)]
        self._processes = [self._start() for _ in range(count)]
        self._addresses = [self._wait(process) for process in self._processes]

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def _wait(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        while True:
            assert process.poll() is None
            try:
                if httpx2.get(f"{address}/readyz", timeout=30).is_success:
                    return address
            except httpx2.TransportError:
                pass
            time.sleep(0.05)

    @property
    def addresses(self) -> list[str]:
        return list(self._addresses)

    def kill_and_restart(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].communicate()
        self._processes[number] = self._start()
        self._addresses[number] = self._wait(self._processes[number])

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@contextmanager
def running(work: list[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Runs the work in threads until the block is left; a failure in one of them is raised."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def guarded(each: Callable[[threading.Event], None]) -> None:
        try:
            each(stop)
        except BaseException as error:  # noqa: BLE001  # the test raises it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def write_until(stop: threading.Event, replicas: Replicas, history: History, writer: int) -> None:
    generator = random.Random(writer)
    number = 0
    while not stop.is_set():
        number += 1
        name = f"red {writer} {number}"
        address = generator.choice(replicas.addresses)
        sent = time.monotonic()
        try:
            answer = httpx2.put(f"{address}/labels", json={"labels": [name]}, timeout=30)
        except httpx2.TransportError:
            # killed: whether the label was stored is unknown
            continue
        assert answer.status_code == 200, answer.text
        revision = answer.json()["label_set"]["revision"]
        history.writes.append(Write(sent, time.monotonic(), revision, name))


def read_until(stop: threading.Event, replicas: Replicas, history: History, reader: int) -> None:
    generator = random.Random(100 + reader)
    video = clip_bytes(seconds_colours=("red",))
    while not stop.is_set():
        address = generator.choice(replicas.addresses)
        sent = time.monotonic()
        try:
            answer = httpx2.post(
                f"{address}/classify",
                files={"file": video},
                data={"top_k": ALL_LABELS},
                timeout=60,
            )
        except httpx2.TransportError:
            continue
        assert answer.status_code == 200, answer.text
        body = answer.json()
        names = frozenset(tag["label"] for tag in body["tags"])
        revision = body["label_set"]["revision"]
        history.reads.append(Read(sent, time.monotonic(), revision, names))


def check_order(history: History) -> None:
    """Revisions follow real time, and each answer holds just what its revision holds."""
    by_revision = {write.revision: write for write in history.writes}
    assert len(by_revision) == len(history.writes), "two writes share a revision"
    events: list[Write | Read] = sorted(
        [*history.writes, *history.reads], key=lambda event: event.sent
    )
    revisions = existence.Floor()
    for event in events:
        floor = revisions.before(event.sent)
        revisions.add(event.answered, event.revision)
        if isinstance(event, Write):
            assert event.revision > floor
        else:
            assert event.revision >= floor
            for write in history.writes:
                assert (write.name in event.names) == (write.revision <= event.revision)
    changes = [
        existence.Change(each.name, True, each.sent, each.answered) for each in history.writes
    ]
    looks = [existence.Look(each.names, each.sent, each.answered) for each in history.reads]
    existence.History(changes, looks).check()


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (Write(2, 3, 7, "b"), Read(4, 5, 6, frozenset({"a"}))),
        (Write(2, 3, 7, "b"), Read(4, 5, 7, frozenset({"a"}))),
        (Write(2, 3, 8, "b"), Read(4, 5, 8, frozenset({"b"}))),
        (Write(2, 3, 6, "b"), Read(4, 5, 8, frozenset({"a", "b"}))),
        (Write(0, 3, 5, "b"), Read(4, 5, 5, frozenset({"b"}))),
    ],
    ids=["stale answer", "lost write", "lost older write", "shared revision", "backwards"],
)
def test_a_history_that_breaks_the_promise_is_noticed(write: Write, read: Read) -> None:
    first = Write(0, 1, 6, "a")
    check_order(History([first, Write(2, 3, 7, "b")], [Read(4, 5, 7, frozenset({"a", "b"}))]))

    with pytest.raises(AssertionError):
        check_order(History([first, write], [read]))


@pytest.mark.postgres
@pytest.mark.slow
def test_no_acknowledged_label_is_lost_and_every_later_answer_knows_it(
    postgres_url: str, tmp_path: Path
) -> None:
    replicas = Replicas(postgres_url, tmp_path)
    history = History()
    generator = random.Random(5)
    try:
        with running(
            [
                *(lambda stop, n=n: write_until(stop, replicas, history, n) for n in range(2)),
                *(lambda stop, n=n: read_until(stop, replicas, history, n) for n in range(2)),
            ]
        ):
            for _ in range(KILLS):
                time.sleep(generator.uniform(0.3, 1.0))
                replicas.kill_and_restart(generator.randrange(REPLICAS))
        finals = [
            {
                tag["label"]
                for tag in httpx2.post(
                    f"{address}/classify",
                    files={"file": clip_bytes(seconds_colours=("red",))},
                    data={"top_k": ALL_LABELS},
                    timeout=60,
                ).json()["tags"]
            }
            for address in replicas.addresses
        ]
    finally:
        replicas.close()

    acknowledged = {write.name for write in history.writes}
    assert len(history.writes) > 20
    assert len(history.reads) > 5
    assert all(acknowledged <= names for names in finals)
    assert finals[0] == finals[1] == finals[2]
    check_order(history)
