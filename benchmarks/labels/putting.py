"""Write 10,000 labels in one PUT, compared with the bare text model and beside a client."""

import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.clips import SMALL, encoded
from benchmarks.labels.phrases import phrases
from benchmarks.labels.service import Service, served
from model import Label, Tagger

_QUIET_REQUESTS = 30
_NEW_LABELS = 200


def measure(tagger: Tagger, cache: Path, labels: int) -> dict[str, Any]:
    """Measure `put_over_encode`, `latency_growth_during_put` and the figures that they come from.

    Also the time for the background level of one new label.
    """
    names = phrases()
    first, second = names[:labels], names[labels : 2 * labels]
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as service:
        service.settle()
        # half of it before and half after, so that other work slows both down
        before = _encode_seconds(tagger, first[::2])
        alone = _put_seconds(service, first)
        after = _encode_seconds(tagger, first[1::2])
        video = encoded(SMALL, cache).read_bytes()
        quiet = [_classify_seconds(service, video) for _ in range(_QUIET_REQUESTS)]
        beside, during = _put_beside_client(service, second, video)
    encode = before + after
    return {
        "put_over_encode": encode / alone,
        "encode_seconds": encode,
        "put_seconds": alone,
        "latency_growth_during_put": median(during) / median(quiet) - 1,
        "classify_p50_ms": 1000 * median(quiet),
        "classify_p50_ms_during_put": 1000 * median(during),
        "classifications_during_put": len(during),
        "put_slowdown_beside_client": beside / alone,
        "background_level_ms": 1000 * _background_seconds(tagger, first[:_NEW_LABELS]),
    }


def _encode_seconds(tagger: Tagger, names: Sequence[str]) -> float:
    """Seconds for the same texts in the bare SentenceTransformer, with its defaults."""
    from sentence_transformers import SentenceTransformer

    from model.text.pretrained import DEFAULT_TEXT_MODEL, find_text_model

    model = SentenceTransformer(str(find_text_model(DEFAULT_TEXT_MODEL)), device="cpu")
    texts = [template.replace("{}", name) for name in names for template in tagger.templates]
    model.encode(texts[:64], show_progress_bar=False)
    start = time.perf_counter()
    model.encode(texts, show_progress_bar=False)
    return time.perf_counter() - start


def _background_seconds(tagger: Tagger, names: Sequence[str]) -> float:
    """Median seconds for level and spread over the background bank of one embedded label."""
    made = tagger.prototypes([Label(name) for name in names])
    seconds = []
    for prototypes in made:
        start = time.perf_counter()
        tagger.calibration.background_of(prototypes.vectors)
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def _put_seconds(service: Service, names: Sequence[str]) -> float:
    start = time.perf_counter()
    service.put(names)
    return time.perf_counter() - start


def _classify_seconds(service: Service, video: bytes) -> float:
    start = time.perf_counter()
    service.classify(video, top_k=5)
    return time.perf_counter() - start


def _put_beside_client(
    service: Service, names: Sequence[str], video: bytes
) -> tuple[float, list[float]]:
    seconds: list[float] = []
    putting = threading.Thread(target=lambda: seconds.append(_put_seconds(service, names)))
    during: list[float] = []
    putting.start()
    while putting.is_alive():
        during.append(_classify_seconds(service, video))
    putting.join()
    return seconds[0], during
