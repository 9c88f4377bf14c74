"""Time to list jobs when many have finished."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from app.store.database import migrate, open_engine
from app.store.jobs import JobStore, NewJob
from benchmarks.labels.service import start

_LISTS = 300


def measure(folder: Path, count: int) -> dict[str, Any]:
    """List 100 of `count` cancelled jobs of a service again and again."""
    engine = open_engine(f"sqlite:///{folder / 'labels.sqlite'}")
    migrate(engine)
    store = JobStore(engine)
    for number in range(count):
        store.cancel(store.create(NewJob({}, "0" * 64, f"{number}"), [b"x"]).id)
    engine.dispose()
    service = start(["-m", "benchmarks.labels.toy_server"], folder)
    try:
        service.wait_until_ready()
        times = []
        for _ in range(_LISTS):
            began = time.perf_counter()
            status, _ = service.ask("GET", "/jobs?page_size=100")
            times.append(time.perf_counter() - began)
            if status != 200:
                raise RuntimeError(f"the list was answered with {status}")
    finally:
        service.stop()
    return {"jobs_list_p99_ms": 1000 * float(np.quantile(times, 0.99)), "jobs_listed": count}
