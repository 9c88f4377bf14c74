"""Measure small files that describe much work: `python -m benchmarks.fuzz.bombs`.

Each is sent over HTTP to a service with one decode process and a fake encoder. Prints the processor
time of the service and its decode process, the peak of the decode process's memory, and the answer;
the exit status is 1 if one needed more than 2 s or 300 MB, or if another client got no answer after
it. Further files can be named.
"""

import argparse
import http.client
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.fuzz.campaign import Outcome
from benchmarks.fuzz.mutations import Mutant
from benchmarks.fuzz.over_http import PATIENCE_SECONDS, SERVICE, SETTINGS, ask
from benchmarks.harness.servers import Server, peak_mib_of, running
from tests.support.clips import clip_bytes
from tests.support.floods import FLOODS, HIDDEN

_MAX_CPU_SECONDS = 2.0
_MAX_BYTES = 300_000_000
# The limits are those of files of up to a megabyte.
_SMALL_BYTES = 1_000_000
_ANSWERS = (200, 413, 415, 422)
PATHS = ("/classify", "/classify?decode=keyframes", "/classify?granularity=segments")


def main() -> int:
    """Measure all bombs, or the files that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz.bombs", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="files instead of our own bombs")
    parser.add_argument("--path", action="append", choices=PATHS, help="what is asked; all three")
    options = parser.parse_args()
    with (
        TemporaryDirectory() as folder,
        running(SERVICE, "/readyz", Path(folder), SETTINGS) as server,
    ):
        failed = measure_all(server, _bombs(options.files), options.path or PATHS)
    print(f"over the limits: {failed}")
    return 1 if failed else 0


def measure_all(
    server: Server, bombs: Iterable[tuple[str, bytes]], paths: Sequence[str] = PATHS
) -> int:
    """Ask about each bomb, then about a small video as another client; return what failed."""
    failed, small = 0, clip_bytes()
    for name, data in bombs:
        for path in paths:
            outcome, peak_bytes = measure(server, name, data, path)
            other, _ = measure(server, "second client", small, "/classify")
            is_bad = not is_well_answered(outcome, peak_bytes) or other.status != 200
            failed += is_bad
            print(
                f"{'FAILED ' if is_bad else ''}{name} ({len(data)} bytes) {path}: "
                f"{outcome.cpu_seconds:.2f} s, {peak_bytes / 1e6:.0f} MB, {outcome.status} "
                f"{outcome.code}, second client {other.status} in {other.seconds:.2f} s",
                flush=True,
            )
    return failed


def is_well_answered(outcome: Outcome, peak_bytes: float) -> bool:
    """Whether a file was tagged or refused as a video; a small one within the limits.

    A large one may also reach its deadline.
    """
    is_answered = outcome.status in _ANSWERS
    if outcome.size_bytes > _SMALL_BYTES:
        return is_answered or outcome.code == "deadline_exceeded"
    is_over = outcome.cpu_seconds > _MAX_CPU_SECONDS or peak_bytes > _MAX_BYTES
    return is_answered and not is_over


def _bombs(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    if files:
        yield from ((file.name, file.read_bytes()) for file in files)
    else:
        yield from ((name, make()) for name, make in {**HIDDEN, **FLOODS}.items())


def measure(server: Server, name: str, data: bytes, path: str) -> tuple[Outcome, float]:
    """Ask once; return the outcome, and the peak of a decode process's memory in bytes."""
    workers = server.process.children()
    for worker in workers:
        with suppress(OSError):
            # 5 resets VmHWM: proc(5), clear_refs
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    outcome = ask(server, connection, Mutant(0, name, (), data), path)
    connection.close()
    # a process that was ended has no peak any more, but its limit was the same
    peaks = [peak_mib_of(worker.pid) for worker in workers if psutil.pid_exists(worker.pid)]
    return outcome, max(peaks, default=0.0) * 1024 * 1024


if __name__ == "__main__":
    sys.exit(main())
