"""Runs analysers as the actors of a Ray Data pipeline, on this computer or on a cluster.

Rows that travel are references to videos and rows about files; frames and embeddings do not.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray
import ray.data

from app.archive.batch.analyser import VIDEOS_PER_WORKER, Analyser, OpenEmbedder, Work
from app.archive.batch.folder import Known
from app.archive.batch.rows import FILES
from app.settings import quiet_ray
from model import KinolexError

# Files per task: enough that a task costs nothing, few enough that the last ones end together.
_MAX_BLOCK = 16
# One task is analysed while the next one begins, so that no decode worker waits for a block's end.
TASKS_AT_ONCE = 2
# After a kill, files that this much time ago were done are hashed again, but not analysed.
_SECONDS_BETWEEN_NOTES = 5.0
Report = Callable[[int, int, int], None]


class ClusterUnreachable(KinolexError):
    """No Ray cluster answers at the address, or Ray does not start on this computer."""

    code = "cluster_unreachable"


@dataclass(frozen=True, slots=True)
class Machines:
    """The actors that a run may have: one per machine, with all its processors.

    `cores` is the number of processors of the smallest machine.
    """

    actors: int
    cores: int


@contextmanager
def ray_session(address: str | None) -> Generator[Machines]:
    """Start Ray on this computer, or join the cluster at `address`, for the block."""
    quiet_ray()
    try:
        with _no_stderr():
            ray.init(
                address=address or "local",
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # a bare one where Ray's processes do not start within 30 s
        ray.shutdown()
        raise ClusterUnreachable(f"{address or 'this computer'}: {error}") from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        usable = [each for each in cores if each]
        if not usable:
            raise ClusterUnreachable("the cluster has no machine with processors")
        yield Machines(len(usable), min(usable))
    finally:
        ray.shutdown()


@contextmanager
def _no_stderr() -> Generator[None]:
    """Discard what the block writes to stderr: Ray's C++ parts greet there. Errors are raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def analyse_on_ray(
    work: Work,
    references: pa.Table,
    known: Known,
    open_embedder: OpenEmbedder,
    *,
    machines: Machines,
    memory_bytes: int,
) -> Iterator[pa.Table]:
    """Analyse the files of REFERENCES; yield rows of FILES as they are done.

    An actor reserves all processors of a machine, and `memory_bytes` of its memory. An actor that
    dies is started again, and its tasks are repeated.
    """
    blocks = blocks_of(references, machines.actors)
    done = ray.data.from_arrow(blocks).map_batches(
        Analyser,
        fn_constructor_kwargs={"work": work, "known": known, "open_embedder": open_embedder},
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            size=min(machines.actors, len(blocks)),
            max_tasks_in_flight_per_actor=2 * TASKS_AT_ONCE,
            max_concurrent_calls_per_actor=TASKS_AT_ONCE,
            enable_true_multi_threading=True,
        ),
        num_cpus=machines.cores,
        memory=memory_bytes,
    )
    yield from done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


def noted(work: Work, rows: Iterator[pa.Table], total: int, report: Report) -> int:
    """Write the rows about files to the archive every few seconds; return the number of errors.

    `report` is called with the numbers of files that are done, of all, and of errors.
    """
    waiting: list[pa.Table] = []
    finished = failed = 0
    written_at = time.monotonic()
    try:
        for some in rows:
            waiting.append(some.cast(FILES))
            finished += len(some)
            failed += sum(code != "" for code in some["code"].to_pylist())
            report(finished, total, failed)
            if time.monotonic() - written_at > _SECONDS_BETWEEN_NOTES:
                work.folder.write_files(pa.concat_tables(waiting))
                waiting, written_at = [], time.monotonic()
    finally:
        if waiting:
            work.folder.write_files(pa.concat_tables(waiting))
    return failed


def blocks_of(references: pa.Table, actors: int) -> list[pa.Table]:
    """Divide the references into tasks."""
    # several tasks for each actor, also where there are few files
    size = max(1, min(_MAX_BLOCK, len(references) // (4 * actors * VIDEOS_PER_WORKER)))
    return [references.slice(at, size) for at in range(0, len(references), size)]
