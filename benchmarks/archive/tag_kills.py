"""Kill `kinolex archive tag` again and again, the driver or an actor, and compare what it made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from app.archive.batch.analyser import Analyser, Work
from app.archive.batch.folder import Known
from app.archive.batch.sources import find_videos
from app.settings import Settings
from benchmarks.archive.tag_colours import folder_of, open_colours
from tests.support.clips import write_clip
from tests.support.paths import ROOT

Victim: TypeAlias = Literal["driver", "actor"]

_WAIT_SECONDS = 300.0
_COLOURS = ("red", "green", "blue", "yellow", "white", "black", "grey")


@dataclass(frozen=True, slots=True)
class Killed:
    """What the kills came to; `lost`, `repeated`, `different` and `again` must be 0.

    `midway` is the number of kills before all rows were written, `again` that of videos that were
    analysed again after their row was there.
    """

    kills: int
    midway: int
    rounds: int
    videos: int
    lost: int
    repeated: int
    different: int
    again: int


def write_tree(folder: Path, count: int) -> None:
    """Write videos that all differ, in folders of ten, and one file that is no video."""
    for number in range(count):
        path = folder / f"{number // 10:03}" / f"{number:05}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = (number % 251, number // 251 % 251, 90)
        write_clip(path, seconds_colours=[_COLOURS[number % 7], shade])
    (folder / "broken.mp4").write_bytes(b"no video")


def victims(kills: int) -> list[Victim]:
    """Return as many victims, in an order that is the same at every run."""
    random = Random(0)
    return [random.choice(("driver", "actor")) for _ in range(kills)]


def run(folder: Path, kills: Sequence[Victim], count: int, say: Callable[[str], None]) -> Killed:
    """Tag a tree of `count` videos in rounds, each until it is done, with all the kills."""
    random = Random(0)
    write_tree(folder / "videos", count)
    calm = _calm(folder)
    done = midway = rounds = lost = repeated = different = again = 0
    while done < len(kills):
        rounds += 1
        out = folder / f"round{rounds}"
        while done < len(kills) and not _is_complete(out, len(calm)):
            before = _written_at(out)
            kill = _kill_driver if kills[done] == "driver" else _kill_actor
            at_kill, after = kill(folder, out, random)
            done += 1
            midway += at_kill < len(calm)
            again += sum(after.get(name, at) != at for name, at in before.items())
            say(f"kill {done} of {len(kills)}: {len(after)} of {len(calm)} videos were written")
        if not _is_complete(out, len(calm)):
            _finish(folder, out.name)
        found = _rows(out)
        names = [row["sha256"] for row in found]
        by_name = {row["sha256"]: row for row in found}
        lost += len({row["sha256"] for row in calm} - by_name.keys())
        repeated += len(names) - len(by_name)
        for row in calm:
            other = by_name.get(row["sha256"], row)
            if other != row:
                different += 1
                say(f"{row['sha256']}: {row['code'] or 'tagged'}, then {other['code'] or 'tagged'}")
    return Killed(done, midway, rounds, len(calm), lost, repeated, different, again)


def _calm(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run without Ray and without a kill."""
    found = folder_of(str(folder / "calm"))
    source = find_videos(str(folder / "videos"))
    analyser = Analyser(
        Work(Settings(decode_workers=1), source.filesystem, found, found.options()),
        Known(),
        open_colours,
    )
    analyser(source.references)
    analyser.close()
    return _rows(folder / "calm")


def _start(folder: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.archive.tag_colours"]
    places = [str(folder / "videos"), str(out)]
    with (folder / "log").open("a") as log:
        return subprocess.Popen([*command, *places], cwd=ROOT, stdout=log, stderr=log, text=True)


def _kill_driver(folder: Path, out: Path, random: Random) -> tuple[int, dict[str, float]]:
    """Kill the driver midway.

    Returns the number of rows at the kill, and when those of single videos were written.
    """
    process = _start(folder, out)
    _wait_for_rows(process, out, random)
    children = _descendants(process.pid)
    at_kill = _count(out)
    process.kill()
    process.wait()
    # the next run starts when Ray has ended what the driver started
    _wait_until(lambda: not any(map(_is_alive, children)))
    return at_kill, _written_at(out)


def _kill_actor(folder: Path, out: Path, random: Random) -> tuple[int, dict[str, float]]:
    """Kill the actor midway, and wait for the end of the run.

    Returns the number of rows at the kill, and when those of single videos were written, as seen
    until the end.
    """
    process = _start(folder, out)
    _wait_for_rows(process, out, random)
    at_kill = _count(out)
    for pid in _descendants(process.pid):
        if "MapWorker" in _command_of(pid):
            os.kill(pid, signal.SIGKILL)
    seen: dict[str, float] = {}
    while process.poll() is None:
        seen |= _written_at(out)
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError((folder / "log").read_text()[-3000:])
    return at_kill, seen


def _finish(folder: Path, name: str) -> None:
    process = _start(folder, folder / name)
    if process.wait(_WAIT_SECONDS):
        raise RuntimeError((folder / "log").read_text()[-3000:])


def _wait_for_rows(process: "subprocess.Popen[str]", out: Path, random: Random) -> None:
    """Wait until the run wrote a row or ended, then for a random part of a second."""
    before = len(_written_at(out))
    _wait_until(lambda: process.poll() is not None or len(_written_at(out)) > before)
    time.sleep(random.random() * 0.5)


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.02)


def _written_at(out: Path) -> dict[str, float]:
    """The times at which the rows of single videos were written."""
    times = {}
    for path in out.glob("*/analyses/*/*.parquet"):
        try:
            times[path.name] = path.stat().st_mtime
        except FileNotFoundError:
            # joined meanwhile
            continue
    return times


def _rows(out: Path) -> list[dict[str, Any]]:
    """The rows of all files of the archive, without the removal of repeated ones."""
    tables = list(folder_of(str(out)).tables())
    rows: list[dict[str, Any]] = pa.concat_tables(tables).sort_by("sha256").to_pylist()
    return rows


def _is_complete(out: Path, count: int) -> bool:
    return _count(out) >= count


def _count(out: Path) -> int:
    return sum(map(len, folder_of(str(out)).tables(["code"]))) if out.exists() else 0


def _descendants(pid: int) -> list[int]:
    found = []
    for child in _children(pid):
        found += [child, *_descendants(child)]
    return found


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
