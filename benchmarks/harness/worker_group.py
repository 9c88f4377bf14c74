"""Throughput of a library with one process per core, all doing the same work at the same time.

How fast a library is on a busy computer shows only when every core is busy with it: two decoders
share caches and memory. A group of processes is idle between its rounds, so that the rounds of
several groups can alternate.
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
from types import TracebackType
from typing import Self

from benchmarks.harness.paths import ROOT

CORES = len(os.sched_getaffinity(0))
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Unit = Callable[[], object]


class Unavailable(Exception):
    """A library is not installed or does not run here; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Units of work per second on all cores together, and processor seconds for one unit."""

    per_second: float
    cpu_seconds: float


class WorkerGroup:
    """Processes that each call `module:function(*arguments)` once and repeat what it returns.

    Entering the context raises Unavailable if the call or the first unit of work fails.
    """

    def __init__(self, job: str, *arguments: str, size: int = CORES) -> None:
        self._stack = ExitStack()
        self._processes = [
            self._stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.harness.worker_group", job, *arguments],
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
                self._read_answer(process)
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

    def round(self, seconds: float) -> Throughput:
        """Measure the throughput for `seconds`; each process completes at least one unit."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        answers = [self._read_answer(process) for process in self._processes]
        return Throughput(
            per_second=sum(one["units"] / one["seconds"] for one in answers),
            cpu_seconds=sum(one["cpu_seconds"] for one in answers)
            / sum(one["units"] for one in answers),
        )

    @staticmethod
    def _read_answer(process: subprocess.Popen[str]) -> dict[str, float]:
        assert process.stdout is not None
        line = process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"ended with {process.wait()}"}
        if "error" in answer:
            raise Unavailable(answer["error"])
        return dict(answer)


def repeat(unit: Unit, seconds: float) -> dict[str, float]:
    """Repeat `unit` for `seconds`, at least once; returns units, seconds and processor seconds."""
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
    # what libraries print goes to standard error, so that it is not read as an answer
    os.dup2(2, 1)

    def send(message: dict[str, object]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    module, _, name = job.partition(":")
    try:
        unit: Unit = getattr(importlib.import_module(module), name)(*arguments)
        unit()
    except Exception as error:  # noqa: BLE001  # reported to the parent
        send({"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
        return
    send({})
    for line in sys.stdin:
        send(dict(repeat(unit, float(line))))


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2:])
