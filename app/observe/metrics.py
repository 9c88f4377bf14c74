"""What Prometheus reads at `/metrics`: numbers of this app, or of all its server processes.

A registry per app, so that two apps can live in one process. Where several processes serve one
port, any of them may be asked: they then keep their numbers in files of one folder, and each
answers for all (prometheus-client's multiprocess mode).
"""

import os
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# From a search in a small set to the longest that a request may take.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Every method that the service answers; whatever else a caller makes up counts as one.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counters, gauges and histograms of one app; `folder` is shared by its processes, if any."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        if folder is not None:
            _forget_dead_processes(folder)
        self._requests = Counter(
            "kinolex_requests",
            "Answers by method, route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._rejects = Counter(
            "kinolex_rejects",
            "Answers that are problems, by their code.",
            ["code"],
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "kinolex_request_seconds",
            "From a request's first line to the end of its answer, by route.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "kinolex_stage_seconds",
            "Time of a request in each stage: intake, queue, decode, encode, search and others.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._in_flight = self._gauge("requests_in_flight", "Requests that are being answered.")
        self._load_gauges = (
            self._gauge("videos_uploading", "Videos whose bytes are coming in."),
            self._gauge("videos_waiting", "Videos that wait for a place to work."),
            self._gauge("videos_working", "Videos being decoded or encoded."),
        )
        self._load = (0, 0, 0)
        self._revision = self._gauge(
            "label_set_revision", "Revision of a label set.", ["label_set"], "mostrecent"
        )
        self._size = self._gauge(
            "label_set_labels", "Labels in a label set.", ["label_set"], "mostrecent"
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
        """A request came in."""
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
        """A request was answered; `route` is None where none fitted, `code` where all is well."""
        self._in_flight.dec()
        method = method if method in _METHODS else "other"
        # the template, never the path: a caller could make up any number of those
        route = route or "none"
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
        for stage, spent in stages.items():
            self._stage_seconds.labels(stage).observe(spent)
        if code is not None:
            self._rejects.labels(code).inc()

    def note_load(self, uploading: int, waiting: int, working: int) -> None:
        """How many videos come in, wait and are worked on now."""
        load = (uploading, waiting, working)
        for gauge, now, before in zip(self._load_gauges, load, self._load, strict=True):
            if now != before:
                gauge.set(now)
        self._load = load

    def note_labels(self, label_set: str, revision: int, size: int) -> None:
        """What a label set is like now."""
        self._revision.labels(label_set).set(revision)
        self._size.labels(label_set).set(size)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The numbers and their content type, in the format that the header `Accept` asks for."""
        write, content_type = choose_encoder(accept)
        if self._folder is None:
            return write(self._registry), content_type
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone, str(self._folder))
        return write(everyone), content_type

    def close(self) -> None:
        """This process's share of what is going on is nothing from here on."""
        if self._folder is not None:
            mark_process_dead(os.getpid(), str(self._folder))


def _forget_dead_processes(folder: Path) -> None:
    """A process that was killed has said goodbye to nobody."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            mark_process_dead(int(pid), str(folder))
