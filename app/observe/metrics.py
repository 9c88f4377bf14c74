"""Prometheus metrics of one app, or of all its server processes.

Each app has its own registry, so that two apps can live in one process. If several processes serve
one port, they share their metrics in files of one folder, and each process returns the metrics of
all (prometheus-client's multiprocess mode).
"""

import os
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Seconds, from the time of a search in a small set to the default request timeout.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Every other method is counted as "other", so that clients cannot create label values.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counters, gauges and histograms of one app; several processes share `folder`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        if folder is not None:
            _remove_dead_processes(folder)
        self._requests = Counter(
            "kinolex_requests",
            "Number of requests by method, route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._rejects = Counter(
            "kinolex_rejects",
            "Number of error answers by problem code.",
            ["code"],
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "kinolex_request_seconds",
            "Duration of requests by route.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "kinolex_stage_seconds",
            "Time of requests in each stage: intake, queue, decode, encode, search and others.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._in_flight = self._gauge("requests_in_flight", "Number of requests in progress.")
        self._load_gauges = (
            self._gauge("videos_uploading", "Number of uploads being received."),
            self._gauge("videos_waiting", "Number of requests in the queue."),
            self._gauge("videos_working", "Number of videos being decoded or encoded."),
        )
        self._load = (0, 0, 0)
        self._revision = self._gauge(
            "label_set_revision", "Revision of a label set.", ["label_set"], "mostrecent"
        )
        self._size = self._gauge(
            "label_set_labels", "Number of labels in a label set.", ["label_set"], "mostrecent"
        )

    def _gauge(
        self, name: str, meaning: str, labels: tuple[str, ...] | list[str] = (), mode: str = ""
    ) -> Gauge:
        return Gauge(
            f"kinolex_{name}",
            meaning,
            labels,
            registry=self._registry,
            multiprocess_mode="mostrecent" if mode == "mostrecent" else "livesum",
        )

    def begin_request(self) -> None:
        """Count a request as in progress."""
        self._in_flight.inc()

    def end_request(
        self,
        method: str,
        route: str | None,
        status: int,
        code: str | None,
        seconds: float,
        stages: Mapping[str, float],
    ) -> None:
        """Count an answered request and its seconds, in total and per stage.

        `route` is None if no route matched, `code` is None if the answer is not a problem.
        """
        self._in_flight.dec()
        method = method if method in _METHODS else "other"
        # the template of the route: paths would create any number of label values
        route = route or "none"
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
        for stage, spent in stages.items():
            self._stage_seconds.labels(stage).observe(spent)
        if code is not None:
            self._rejects.labels(code).inc()

    def note_load(self, uploading: int, waiting: int, working: int) -> None:
        """Set the numbers of uploads, queued requests and videos being decoded or encoded."""
        load = (uploading, waiting, working)
        for gauge, now, before in zip(self._load_gauges, load, self._load, strict=True):
            if now != before:
                gauge.set(now)
        self._load = load

    def note_labels(self, label_set: str, revision: int, size: int) -> None:
        """Set the revision and the size of a label set."""
        self._revision.labels(label_set).set(revision)
        self._size.labels(label_set).set(size)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the format that `accept` requests."""
        write, content_type = choose_encoder(accept)
        if self._folder is None:
            return write(self._registry), content_type
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))
        return write(registry), content_type

    def close(self) -> None:
        """Remove the gauges of this process from the shared folder."""
        if self._folder is not None:
            mark_process_dead(os.getpid(), str(self._folder))


def _remove_dead_processes(folder: Path) -> None:
    """Remove the gauges of processes that were killed before they could close."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            mark_process_dead(int(pid), str(folder))
