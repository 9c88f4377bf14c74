"""Kill a server (SIGKILL) at random times while labels are written, and check what is stored.

After each kill a store is opened on the database, and its index and thresholds are compared with
those that are built from the rows. Then a server is started, and its export and its answer for a
video, with every label, are compared with the same.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from app.store import DEFAULT_SET, LabelStore
from benchmarks.labels.history import History
from benchmarks.labels.rebuilt import Rebuilt
from benchmarks.labels.service import Service, start
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger

# enough for an index file, which must not bring removed labels back
_FIRST_LABELS = 12_000
_MAX_RUN_SECONDS = 3.0
_EXPORT = "/labels?format=ndjson"
# each choice of colours has another vector, and each label another threshold
_WORDS = ("red", "green", "blue", "red green", "green blue", "blue red")
_SHOWN = (200, 120, 50)
# labels of one request, and how many of them exist already
_BATCHES = ((1, 0), (1, 1), (5, 2), (300, 30))
_SAME_SIMILARITY = 1e-4


@dataclass(frozen=True, slots=True)
class Outcome:
    """Numbers of kills, of acknowledged labels, of lost labels, and of wrong indexes."""

    kills: int
    acknowledged: int
    lost: int
    wrong_indexes: int


def run(
    kills: int,
    *,
    first_labels: int = _FIRST_LABELS,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Write, kill and check `kills` times with one database.

    Raises RuntimeError if the server refuses a request.
    """
    generator = random.Random(seed)
    history = History()
    video = clip_bytes(seconds_colours=[_SHOWN])
    lost: set[str] = set()
    wrong_indexes = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        service = _started(folder)
        try:
            # the default labels too, so that every label has a threshold
            first = [*_exported(service), *map(_name, range(first_labels))]
            _put(service, history, generator, first)
            for kill in range(1, kills + 1):
                _write_until_killed(service, history, generator, kill, first_labels)
                rebuilt, fault = _reopened(folder)
                service = _started(folder)
                lost |= history.resume(_exported(service))
                fault = fault or _fault_of_server(service, rebuilt, video)
                wrong_indexes += fault is not None
                said = f"kill {kill}: {len(rebuilt.index)} labels, {len(lost)} lost"
                say(f"{said}; {fault}" if fault else said)
        finally:
            service.kill()
    return Outcome(kills, len(history.settled), len(lost), wrong_indexes)


def _started(folder: Path) -> Service:
    service = start(["-m", "benchmarks.labels.toy_server"], folder)
    service.wait_until_ready()
    return service


def _write_until_killed(
    service: Service, history: History, generator: random.Random, kill: int, first_labels: int
) -> None:
    with ThreadPoolExecutor(1) as writers:
        writing = writers.submit(
            _write, service, history, random.Random(generator.random()), kill, first_labels
        )
        try:
            time.sleep(generator.uniform(0.05, _MAX_RUN_SECONDS))
        finally:
            service.kill()
        # raises what the server refused before the kill
        writing.result()


def _write(
    service: Service, history: History, generator: random.Random, kill: int, first_labels: int
) -> None:
    """Add, replace and remove labels until the server has ended."""
    next_number = kill * 1_000_000
    while True:
        size, replaced = generator.choice(_BATCHES)
        new = range(next_number, next_number + size - replaced)
        next_number = new.stop
        names = [_name(n) for n in (*generator.sample(range(first_labels), replaced), *new)]
        try:
            _put(service, history, generator, names)
            _remove(service, history, generator.choice(names))
        except OSError:
            return


def _name(number: int) -> str:
    return f"{_WORDS[number % len(_WORDS)]} {number}"


def _put(service: Service, history: History, generator: random.Random, names: list[str]) -> None:
    values = {name: round(generator.random(), 4) for name in names}
    history.begin(values)
    service.put([{"name": name, "threshold": value} for name, value in values.items()])
    history.end()


def _remove(service: Service, history: History, name: str) -> None:
    history.begin({name: None})
    status, body = service.ask("DELETE", f"/labels/{quote(name)}")
    if status != 200:
        raise RuntimeError(f"the removal was answered with {status}: {body[:300]!r}")
    history.end()


def _reopened(folder: Path) -> tuple[Rebuilt, str | None]:
    """The labels in the database after a kill, and the fault of a store opened on it, or None."""
    tagger = colour_tagger()
    store = LabelStore.open(
        f"sqlite:///{folder / 'labels.sqlite'}", tagger, cache_folder=folder / "cache"
    )
    try:
        with store.engine.connect() as connection:
            integrity = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
        rebuilt = Rebuilt.of(store.engine, DEFAULT_SET, tagger.encoder.dim)
        snapshot = store.snapshot(DEFAULT_SET)
        fault = rebuilt.differs(snapshot.index)
        return rebuilt, fault if integrity == "ok" else f"the database is broken: {integrity}"
    finally:
        store.close()


def _exported(service: Service) -> dict[str, float | None]:
    status, body = service.ask("GET", _EXPORT)
    if status != 200:
        raise RuntimeError(f"the export was answered with {status}")
    labels = map(json.loads, body.decode().splitlines())
    return {label["name"]: label.get("threshold") for label in labels}


def _fault_of_server(service: Service, rebuilt: Rebuilt, video: bytes) -> str | None:
    """How the server's answer differs from that of the labels in the database, or None."""
    [embedding] = service.embed(video)["embeddings"]
    expected = rebuilt.tags(colour_tagger(), np.array([embedding], np.float32))
    answer = service.classify(video, top_k=len(rebuilt.index))
    found = {tag["label"]: tag["similarity"] for tag in answer["tags"]}
    if found.keys() != expected.keys():
        return f"the server answered {len(found.keys() ^ expected.keys())} labels otherwise"
    furthest = max((abs(found[name] - expected[name]) for name in found), default=0.0)
    return f"similarities are up to {furthest:.2g} off" if furthest > _SAME_SIMILARITY else None
