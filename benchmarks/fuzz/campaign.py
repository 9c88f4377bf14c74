"""Decode mutated videos in real workers, and judge what comes of each."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from app.decode.budget import VideoBudget
from app.decode.decode_pool import DecodePool
from benchmarks.fuzz.mutations import Mutant, mutant
from model import KinolexError, VideoLimits
from model.video.sampling import SamplingConfig

# The goal is 2 s for every file under 1 MB; a worker's own part ends at 1.8 s.
MAX_CPU_SECONDS = 2.0
_SAMPLING = SamplingConfig(clips=1, frames_per_clip=8)
_SHORT_SIDE = 64
_DEADLINE_SECONDS = 120.0
_DIED = "the decoder died"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one video: `code` is `ok`, or that of the error, `cpu_seconds` its cost.

    `status` is that of HTTP, 0 where nothing was answered.
    """

    number: int
    seed: str
    mutations: tuple[str, ...]
    size_bytes: int
    code: str
    detail: str
    cpu_seconds: float
    seconds: float
    status: int = 200

    def is_good(self, max_cpu_seconds: float) -> bool:
        """Whether it was answered in its time, at a bounded cost and with no error of ours."""
        is_fault = not 0 < self.status < 500 and self.code != "deadline_exceeded"
        return self.cpu_seconds <= max_cpu_seconds and self.code != "late" and not is_fault


@dataclass(slots=True)
class Campaign:
    """The outcomes of a campaign: how many of each code, and those that are not good."""

    max_cpu_seconds: float = MAX_CPU_SECONDS
    codes: Counter[str] = field(default_factory=Counter)
    died: list[Outcome] = field(default_factory=list)
    bad: list[Outcome] = field(default_factory=list)
    most_cpu_seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.codes[outcome.code] += 1
        self.most_cpu_seconds = max(self.most_cpu_seconds, outcome.cpu_seconds)
        if outcome.detail.startswith(_DIED):
            self.died.append(outcome)
        if not outcome.is_good(self.max_cpu_seconds):
            self.bad.append(outcome)

    def extend(self, other: "Campaign") -> None:
        """Add the outcomes of another part of the campaign."""
        self.codes += other.codes
        self.died += other.died
        self.bad += other.bad
        self.most_cpu_seconds = max(self.most_cpu_seconds, other.most_cpu_seconds)

    def note(self, outcome: Outcome, log: TextIO | None) -> None:
        """Count an outcome, and write it to the log as a line of JSON."""
        self.add(outcome)
        if log is not None:
            log.write(json.dumps(asdict(outcome)) + "\n")


def outcomes_in(log: Path) -> Iterator[Outcome]:
    """Yield the outcomes of a log; the line of a campaign that was killed may be cut off."""
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("}\n"):
                read = json.loads(line)
                yield Outcome(**read | {"mutations": tuple(read["mutations"])})


async def run(
    numbers: Iterable[int],
    seeds: Mapping[str, bytes],
    *,
    campaign: int = 0,
    workers: int = 1,
    log: TextIO | None = None,
) -> Campaign:
    """Decode the mutants with these numbers; write a line of JSON for each to `log`."""
    done = Campaign()
    mutants = (mutant(number, seeds, campaign) for number in numbers)
    async with DecodePool(workers, VideoLimits()) as pool:

        async def decode_some(mutants: Iterator[Mutant]) -> None:
            for each in mutants:
                done.note(await _decode(pool, each), log)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(decode_some(mutants))
    return done


async def _decode(pool: DecodePool, video: Mutant) -> Outcome:
    fd = os.memfd_create("mutant")
    try:
        os.write(fd, video.data)
        budget = pool.budget_of(fd)
        started = time.monotonic()
        code, detail = "ok", ""
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                await _ask(pool, fd, video, budget)
        except TimeoutError:
            code = "late"
        except KinolexError as error:
            code, detail = error.code, str(error)
        return Outcome(
            video.number,
            video.seed,
            video.mutations,
            len(video.data),
            code,
            detail[:120],
            round(budget.spent_seconds, 3),
            round(time.monotonic() - started, 3),
        )
    finally:
        os.close(fd)


async def _ask(pool: DecodePool, fd: int, video: Mutant, budget: VideoBudget) -> None:
    """Ask one of the questions that requests have: a whole video, keyframes, or windows."""
    if video.number % 4:
        keyframes = video.number % 4 == 1
        await pool.sample(fd, _SAMPLING, _SHORT_SIDE, keyframes_only=keyframes, budget=budget)
        return
    info = await pool.probe(fd, budget=budget)
    for part in range(4):
        times = [info.duration_seconds * (part + step / 8) / 4 for step in range(8)]
        await pool.decode(fd, times, _SHORT_SIDE, budget=budget)
