"""kill -9 of a real server at random moments while labels are written: what is left of them?"""

import json
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from app.store import DEFAULT_SET, LabelStore
from benchmarks.labels.service import Service, start
from tests.fakes import colour_tagger

# enough for an index on file, which must not bring back what is gone
_FIRST_LABELS = 12_000
_LONGEST_RUN_SECONDS = 3.0
_EXPORT = "/labels?format=ndjson"


@dataclass
class History:
    """What the server has said of each label; `unsure` are those that it was killed over."""

    present: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)

    def begin(self, names: list[str]) -> None:
        """A write of these was sent."""
        self.unsure |= set(names)

    def end(self, names: list[str], *, removed: bool = False) -> None:
        """It was acknowledged."""
        self.unsure -= set(names)
        gained, lost = (self.removed, self.present) if removed else (self.present, self.removed)
        gained |= set(names)
        lost -= set(names)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Kills survived, labels acknowledged, and what was wrong afterwards."""

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
    """Writes, kills and checks so many times over one database."""
    generator = random.Random(seed)
    history = History()
    lost: set[str] = set()
    wrong_indexes = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        service = _started(folder)
        names = [f"red {number}" for number in range(first_labels)]
        service.put(names)
        history.end(names)
        for kill in range(1, kills + 1):
            _write_until_killed(service, history, generator, kill)
            wrong_indexes += not _index_is_database(folder)
            service = _started(folder)
            lost |= _what_is_lost(service, history)
            say(f"kill {kill}: {len(history.present)} labels, {len(lost)} lost")
        service.kill()
    return Outcome(kills, len(history.present) + len(history.removed), len(lost), wrong_indexes)


def _started(folder: Path) -> Service:
    service = start(["-m", "benchmarks.labels.toy_server"], folder)
    service.wait_until_ready()
    return service


def _write_until_killed(
    service: Service, history: History, generator: random.Random, turn: int
) -> None:
    writer = threading.Thread(
        target=_write, args=(service, history, random.Random(generator.random()), turn)
    )
    writer.start()
    time.sleep(generator.uniform(0.05, _LONGEST_RUN_SECONDS))
    service.kill()
    writer.join()


def _write(service: Service, history: History, generator: random.Random, turn: int) -> None:
    """Puts and removes labels until the server is gone; each PUT also advances its index."""
    number = 0
    while True:
        names = [f"green {turn} {number + n}" for n in range(generator.choice([1, 1, 5, 300]))]
        number += len(names)
        try:
            history.begin(names)
            service.put(names)
            history.end(names)
            gone = generator.sample(names, 1)
            history.begin(gone)
            status, _ = service.ask("DELETE", f"/labels/{quote(gone[0])}")
            if status == 200:
                history.end(gone, removed=True)
        except OSError:
            return


def _index_is_database(folder: Path) -> bool:
    """Whether a store that starts from what the kill has left finds just what is stored."""
    store = LabelStore.open(
        f"sqlite:///{folder / 'labels.sqlite'}", colour_tagger(), cache_folder=folder / "cache"
    )
    try:
        stored = {each.new.label.name for each in store.export(DEFAULT_SET)}
        with store.engine.connect() as connection:
            is_whole = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        snapshot, state = store.snapshot(DEFAULT_SET), store.state(DEFAULT_SET)
        found = set(snapshot.index.names)
        return is_whole and found == stored and state.size == len(stored)
    finally:
        store.close()


def _what_is_lost(service: Service, history: History) -> set[str]:
    """Acknowledged labels that the next server does not have, and removed ones that came back."""
    status, body = service.ask("GET", _EXPORT)
    if status != 200:
        raise RuntimeError(f"the export was answered with {status}")
    stored = {json.loads(line)["name"] for line in body.decode().splitlines()}
    lost = (history.present - history.unsure) - stored
    returned = (history.removed - history.unsure) & stored
    # what the kill left open is settled now
    for name in history.unsure:
        (history.present if name in stored else history.removed).add(name)
        (history.removed if name in stored else history.present).discard(name)
    history.unsure.clear()
    return lost | returned
