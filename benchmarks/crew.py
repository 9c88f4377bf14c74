"""One process per core, all doing the same piece of work at the same time.

How fast a library is on a busy computer shows only when every core is busy with it: two decoders
share caches and memory. Crews wait between their rounds, so rivals can take turns.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0))
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Unit = Callable[[], object]


class Unavailable(Exception):
    """A library that is not installed or does not run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Units of work per second, of all cores together, and processor seconds for one."""

    per_second: float
    cpu_seconds: float


class Crew:
    """Processes that each call `module:function(*arguments)` once, for a unit of work to repeat.

    Raises Unavailable where that fails.
    """

    def __init__(self, job: str, *arguments: str, size: int = CORES) -> None:
        self._stack = ExitStack()
        self._processes = [
            self._stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.crew", job, *arguments],
                    cwd=ROOT,
                    env={**os.environ, **_ONE_THREAD},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(size)
        ]

    def __enter__(self) -> Self:
        try:
            for process in self._processes:
                self._hear(process)
        except Unavailable:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        self._stack.close()

    def round(self, seconds: float) -> Pace:
        """The pace over about this long: at least one unit each."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        told = [self._hear(process) for process in self._processes]
        return Pace(
            per_second=sum(one["units"] / one["seconds"] for one in told),
            cpu_seconds=sum(one["cpu_seconds"] for one in told) / sum(one["units"] for one in told),
        )

    @staticmethod
    def _hear(process: subprocess.Popen[str]) -> dict[str, float]:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = json.loads(line) if line else {"error": f"ended with {process.wait()}"}
        if "error" in told:
            raise Unavailable(told["error"])
        return dict(told)


def repeat(unit: Unit, seconds: float) -> dict[str, float]:
    """How often `unit` was done in so many seconds, how long it took, and processor time."""
    started, cpu_started, units = time.perf_counter(), time.process_time(), 0
    while not units or time.perf_counter() - started < seconds:
        unit()
        units += 1
    return {
        "units": units,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
    }


def _work(job: str, arguments: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    # what libraries print must not be taken for an answer
    os.dup2(2, 1)

    def say(message: dict[str, object]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    module, _, name = job.partition(":")
    try:
        unit: Unit = getattr(importlib.import_module(module), name)(*arguments)
        unit()
    except Exception as error:  # noqa: BLE001  # reported to the parent
        say({"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
        return
    say({})
    for line in sys.stdin:
        say(dict(repeat(unit, float(line))))


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2:])
