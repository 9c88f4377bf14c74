"""Random requests of every kind that the service answers or refuses."""

import hashlib
import json
import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fuzz.mutations import mutant

_JSON = {"Content-Type": "application/json"}
_VIDEO = {"Content-Type": "video/mp4"}
_FORM = {"Content-Type": "multipart/form-data; boundary=B"}
_FOUND_OR_NOT = frozenset({200, 404})
_TEXTS = ("riding a horse", "juggling", "rowing a boat", "cutting vegetables", "falling", "a dog")
# Labels, sets and videos to keep are few: a service may grow with what it was asked to keep.
_LABELS = tuple(f"label {number}" for number in range(60))
_SETS = ("default", "sports", "kitchen")
_KNOWN_JOBS = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and the statuses that it may get.

    With `hangs_up` n, the client sends a part of 1/n of the body and closes the connection.
    """

    kind: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    allowed: frozenset[int] = frozenset({200})
    hangs_up: int = 0


class Asks:
    """Random requests; `learn` tells which jobs there are. Thread-safe."""

    def __init__(self, chance: random.Random, videos: Mapping[str, bytes]) -> None:
        self._chance = chance
        self._videos = videos
        self._kept = sorted(videos)[:8]
        self._jobs: deque[str] = deque(maxlen=_KNOWN_JOBS)
        self._lock = threading.Lock()
        self._number = 0
        self._kinds: dict[Callable[[], Ask], int] = {
            self._classified: 8,
            self._mutated: 6,
            self._segments: 3,
            self._in_a_form: 2,
            self._kept_video: 3,
            self._asked_again: 3,
            self._embedded: 3,
            self._text: 3,
            self._search: 2,
            self._put_labels: 3,
            self._read_labels: 3,
            self._deleted_label: 2,
            self._label_set: 1,
            self._new_job: 2,
            self._job: 2,
            self._facts: 3,
            self._refused: 6,
            self._hung_up: 3,
        }

    def next(self) -> Ask:
        """Return another request."""
        with self._lock:
            self._number += 1
            [make] = self._chance.choices(tuple(self._kinds), tuple(self._kinds.values()))
            return make()

    def learn(self, ask: Ask, answer: Mapping[str, Any]) -> None:
        """Note the job that a request has made."""
        if ask.kind == "new job" and "id" in answer:
            with self._lock:
                self._jobs.append(answer["id"])

    def _video(self) -> bytes:
        return self._videos[self._chance.choice(sorted(self._videos))]

    def _classified(self) -> Ask:
        query = self._chance.choice(("", "?top_k=2", "?decode=exact", "?labels=red,blue"))
        return Ask("classify", "POST", f"/classify{query}", self._video(), _VIDEO)

    def _mutated(self) -> Ask:
        path = self._chance.choice(("/classify", "/classify?decode=keyframes", "/embed"))
        data = mutant(self._number, self._videos, campaign=99).data
        return Ask("mutated", "POST", path, data, _VIDEO, frozenset({200, 415, 422}))

    def _segments(self) -> Ask:
        path = "/classify?granularity=segments&window_seconds=1&stride_seconds=0.5"
        accept = self._chance.choice(("application/json", "text/event-stream", "text/vtt"))
        return Ask("segments", "POST", path, self._video(), {**_VIDEO, "Accept": accept})

    def _in_a_form(self) -> Ask:
        head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        body = head + self._video() + b"\r\n--B--\r\n"
        return Ask("form", "POST", "/classify", body, _FORM)

    def _kept_video(self) -> Ask:
        video = self._videos[self._chance.choice(self._kept)]
        return Ask("keep", "POST", "/classify?keep=true", video, _VIDEO)

    def _asked_again(self) -> Ask:
        digest = hashlib.sha256(self._videos[self._chance.choice(self._kept)]).hexdigest()
        if self._chance.random() < 0.2:
            return Ask("forget", "DELETE", f"/videos/{digest}", allowed=_FOUND_OR_NOT)
        path, body = f"/videos/{digest}/classify", json.dumps({"top_k": 2}).encode()
        return Ask("ask again", "POST", path, body, _JSON, _FOUND_OR_NOT)

    def _embedded(self) -> Ask:
        return Ask("embed", "POST", "/embed", self._video(), _VIDEO)

    def _text(self) -> Ask:
        texts = self._chance.sample(_TEXTS, self._chance.randint(1, 4))
        if self._chance.random() < 0.5:
            body = json.dumps({"model": "kinolex", "input": texts}).encode()
            return Ask("text", "POST", "/v1/embeddings", body, _JSON)
        return Ask("text", "POST", "/embed", json.dumps({"texts": texts}).encode(), _JSON)

    def _search(self) -> Ask:
        if self._chance.random() < 0.3:
            return Ask("search", "POST", "/search", self._video(), _VIDEO)
        return Ask("search", "GET", f"/search?q={self._chance.choice(_TEXTS).replace(' ', '+')}")

    def _labels_path(self) -> str:
        name = self._chance.choice(_SETS)
        return "/labels" if name == "default" else f"/label-sets/{name}/labels"

    def _put_labels(self) -> Ask:
        names = self._chance.sample(_LABELS, self._chance.randint(1, 5))
        body = json.dumps({"labels": names}).encode()
        # a set that another client deletes meanwhile
        allowed = frozenset({200, 404, 409})
        return Ask("put labels", "PUT", self._labels_path(), body, _JSON, allowed)

    def _read_labels(self) -> Ask:
        query = self._chance.choice(("", "?page_size=3", "?q=label", "?format=csv"))
        path = f"{self._labels_path()}{query}"
        return Ask("read labels", "GET", path, allowed=_FOUND_OR_NOT)

    def _deleted_label(self) -> Ask:
        path = f"{self._labels_path()}/{self._chance.choice(_LABELS).replace(' ', '%20')}"
        return Ask("delete label", "DELETE", path, allowed=frozenset({200, 204, 404}))

    def _label_set(self) -> Ask:
        method = self._chance.choice(("GET", "PUT", "DELETE"))
        allowed = frozenset({200, 201, 204, 404, 409, 428})
        body, headers = (b"{}", _JSON) if method == "PUT" else (b"", {})
        return Ask("label set", method, "/label-sets/kitchen", body, headers, allowed)

    def _new_job(self) -> Ask:
        headers = {**_VIDEO, "Idempotency-Key": str(self._number)}
        path = "/jobs?granularity=segments"
        return Ask("new job", "POST", path, self._video(), headers, frozenset({202}))

    def _job(self) -> Ask:
        if not self._jobs or self._chance.random() < 0.2:
            return Ask("jobs", "GET", "/jobs?page_size=5")
        method = self._chance.choice(("GET", "GET", "DELETE"))
        return Ask("job", method, f"/jobs/{self._chance.choice(self._jobs)}")

    def _facts(self) -> Ask:
        paths = ("/model", "/metrics", "/healthz", "/readyz", "/label-sets", "/videos", "/keys")
        return Ask("facts", "GET", self._chance.choice(paths))

    def _refused(self) -> Ask:
        video = self._video()
        return self._chance.choice(
            (
                Ask("refused", "GET", "/nowhere", allowed=frozenset({404})),
                Ask("refused", "GET", "/classify", allowed=frozenset({405})),
                Ask("refused", "POST", "/classify?top_k=0", video, _VIDEO, frozenset({422})),
                Ask("refused", "POST", "/classify?whose=mine", video, _VIDEO, frozenset({422})),
                Ask("refused", "POST", "/classify", b"", _VIDEO, frozenset({400, 422})),
                Ask("refused", "POST", "/classify", b"text", _VIDEO, frozenset({415, 422})),
                Ask("refused", "POST", "/classify", b"--B\r\nx", _FORM, frozenset({400})),
                Ask("refused", "POST", "/embed", b'{"text":', _JSON, frozenset({400, 422})),
                Ask("refused", "PUT", "/labels", b"[]", _JSON, frozenset({400, 422})),
                Ask(
                    *("refused", "POST", "/classify", video),
                    {**_VIDEO, "Authorization": "Bearer kx_wrong"},
                    frozenset({401}),
                ),
                Ask(
                    *("refused", "POST", "/classify", video),
                    {**_VIDEO, "Host": "example.org"},
                    frozenset({400, 403, 421}),
                ),
            )
        )

    def _hung_up(self) -> Ask:
        # 1: after the whole body, while the service works
        part = self._chance.choice((1, 1, 2, 5))
        path = self._chance.choice(("/classify", "/classify?granularity=segments", "/jobs"))
        return Ask("hung up", "POST", path, self._video(), _VIDEO, hangs_up=part)
