# Written by client/make_sync.py; edit `_async` instead.
"""Calls of the API, one method each. docs/api.md explains options, answers and errors."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

from httpx2 import Client, Timeout

from kinolex_client._sync.events import classification_events
from kinolex_client._sync.jobs import SyncJobs
from kinolex_client._sync.labels import SyncLabels
from kinolex_client._sync.transport import SyncCall, SyncTransport
from kinolex_client.answers import Classification, Embeddings, Found, KeptVideo, Model, Progress
from kinolex_client.decoding import decode
from kinolex_client.options import (
    ClassifyOptions,
    ClipSearchOptions,
    Question,
    SearchOptions,
    VideoFilter,
    VideoOptions,
    query,
)
from kinolex_client.retries import Retries
from kinolex_client.videos import Source, Video

# Longer than the service works on one request: half an hour for the segments of a film.
_ANSWER_SECONDS = 1_900.0
_CONNECT_SECONDS = 10.0


class Kinolex(SyncJobs, SyncLabels):
    """A client of the service at `url`; `key` is an API key.

    Methods raise a `Problem` where the service refuses or fails, of the class that is named after
    its code, and ConnectionFailed where it does not answer. Refusals that pass (the service is
    busy, starting, or the key's quota is used up) are waited for as `retries` says.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        retries: Retries | None = None,
        http: Client | None = None,
    ) -> None:
        """`http` replaces the connections, for proxies or certificates; it is closed with this."""
        http = http or Client(timeout=Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS))
        http.base_url = url
        if key:
            # without the line end of the file that it was read from, which no header holds
            http.headers["Authorization"] = f"Bearer {key.strip()}"
        self._transport = SyncTransport(http, retries or Retries())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def model(self) -> Model:
        """Return the checkpoint that runs."""
        return decode(Model, self._transport.json(SyncCall("GET", "/model")))

    def classify(self, video: Video, **options: Unpack[ClassifyOptions]) -> Classification:
        """Tag a video; with `granularity="segments"`, with times."""
        call = SyncCall("POST", "/classify", query(options), video=Source(video))
        return decode(Classification, self._transport.json(call))

    def classify_events(
        self, video: Video, **options: Unpack[ClassifyOptions]
    ) -> Iterator[Progress | Classification]:
        """Tag a video and report windows while the service works; the result comes last.

        A loop that is left early cancels the work when the iterator is closed.
        """
        call = SyncCall("POST", "/classify", query(options), video=Source(video))
        return classification_events(self._transport, call)

    def classify_kept(self, sha256: str, **options: Unpack[Question]) -> Classification:
        """Ask about a kept video, without the file."""
        call = SyncCall("POST", f"/videos/{quote(sha256, safe='')}/classify", body=_json(options))
        return decode(Classification, self._transport.json(call))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the vectors that labels with these names have."""
        call = SyncCall("POST", "/embed", body={"texts": list(texts)})
        return decode(Embeddings, self._transport.json(call))

    def embed_video(self, video: Video, **options: Unpack[VideoOptions]) -> Embeddings:
        """Return the vector of a video."""
        call = SyncCall("POST", "/embed", query(options), video=Source(video))
        return decode(Embeddings, self._transport.json(call))

    def search(self, words: str, **options: Unpack[SearchOptions]) -> Found:
        """Find the spans of kept videos that show what the words say, best first."""
        call = SyncCall("GET", "/search", query({"q": words, **options}))
        return decode(Found, self._transport.json(call))

    def search_clip(self, clip: Video, **options: Unpack[ClipSearchOptions]) -> Found:
        """Find the spans of kept videos that are like a clip, which is not kept."""
        call = SyncCall("POST", "/search", query(options), video=Source(clip))
        return decode(Found, self._transport.json(call))

    def kept_videos(self, **wanted: Unpack[VideoFilter]) -> Iterator[KeptVideo]:
        """Iterate over kept videos, newest first, page by page."""
        return self._pages(KeptVideo, "/videos", query(wanted))

    def kept_video(self, sha256: str) -> KeptVideo:
        """Return what is known of a kept video."""
        call = SyncCall("GET", f"/videos/{quote(sha256, safe='')}")
        return decode(KeptVideo, self._transport.json(call))

    def delete_video(self, sha256: str) -> int:
        """Delete what is kept of a video; return the number of analyses."""
        call = SyncCall("DELETE", f"/videos/{quote(sha256, safe='')}")
        removed: int = (self._transport.json(call))["removed"]
        return removed


def _json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a JSON object."""
    return {
        name: list(value) if name == "labels" else value
        for name, value in options.items()
        if value is not None
    }
