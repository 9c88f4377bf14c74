"""Calls of the API, one method each. docs/api.md explains options, answers and errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

from httpx2 import AsyncClient, Timeout

from kinolex_client._async.events import classification_events
from kinolex_client._async.jobs import AsyncJobs
from kinolex_client._async.labels import AsyncLabels
from kinolex_client._async.transport import AsyncCall, AsyncTransport
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


class AsyncKinolex(AsyncJobs, AsyncLabels):
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
        http: AsyncClient | None = None,
    ) -> None:
        """`http` replaces the connections, for proxies or certificates; it is closed with this."""
        http = http or AsyncClient(timeout=Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS))
        http.base_url = url
        if key:
            # without the line end of the file that it was read from, which no header holds
            http.headers["Authorization"] = f"Bearer {key.strip()}"
        self._transport = AsyncTransport(http, retries or Retries())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def model(self) -> Model:
        """Return the checkpoint that runs."""
        return decode(Model, await self._transport.json(AsyncCall("GET", "/model")))

    async def classify(self, video: Video, **options: Unpack[ClassifyOptions]) -> Classification:
        """Tag a video; with `granularity="segments"`, with times."""
        call = AsyncCall("POST", "/classify", query(options), video=Source(video))
        return decode(Classification, await self._transport.json(call))

    def classify_events(
        self, video: Video, **options: Unpack[ClassifyOptions]
    ) -> AsyncIterator[Progress | Classification]:
        """Tag a video and report windows while the service works; the result comes last.

        A loop that is left early cancels the work when the iterator is closed.
        """
        call = AsyncCall("POST", "/classify", query(options), video=Source(video))
        return classification_events(self._transport, call)

    async def classify_kept(self, sha256: str, **options: Unpack[Question]) -> Classification:
        """Ask about a kept video, without the file."""
        call = AsyncCall("POST", f"/videos/{quote(sha256, safe='')}/classify", body=_json(options))
        return decode(Classification, await self._transport.json(call))

    async def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the vectors that labels with these names have."""
        call = AsyncCall("POST", "/embed", body={"texts": list(texts)})
        return decode(Embeddings, await self._transport.json(call))

    async def embed_video(self, video: Video, **options: Unpack[VideoOptions]) -> Embeddings:
        """Return the vector of a video."""
        call = AsyncCall("POST", "/embed", query(options), video=Source(video))
        return decode(Embeddings, await self._transport.json(call))

    async def search(self, words: str, **options: Unpack[SearchOptions]) -> Found:
        """Find the spans of kept videos that show what the words say, best first."""
        call = AsyncCall("GET", "/search", query({"q": words, **options}))
        return decode(Found, await self._transport.json(call))

    async def search_clip(self, clip: Video, **options: Unpack[ClipSearchOptions]) -> Found:
        """Find the spans of kept videos that are like a clip, which is not kept."""
        call = AsyncCall("POST", "/search", query(options), video=Source(clip))
        return decode(Found, await self._transport.json(call))

    def kept_videos(self, **wanted: Unpack[VideoFilter]) -> AsyncIterator[KeptVideo]:
        """Iterate over kept videos, newest first, page by page."""
        return self._pages(KeptVideo, "/videos", query(wanted))

    async def kept_video(self, sha256: str) -> KeptVideo:
        """Return what is known of a kept video."""
        call = AsyncCall("GET", f"/videos/{quote(sha256, safe='')}")
        return decode(KeptVideo, await self._transport.json(call))

    async def delete_video(self, sha256: str) -> int:
        """Delete what is kept of a video; return the number of analyses."""
        call = AsyncCall("DELETE", f"/videos/{quote(sha256, safe='')}")
        removed: int = (await self._transport.json(call))["removed"]
        return removed


def _json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a JSON object."""
    return {
        name: list(value) if name == "labels" else value
        for name, value in options.items()
        if value is not None
    }
