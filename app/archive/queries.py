"""Turns a text or a clip into what kept windows are compared with."""

import numpy as np
from anyio import to_thread

from app.labels.ad_hoc import AdHocLabels
from app.observe.timings import stage
from app.question import DecodeMode
from app.service import TaggingService
from app.upload.buffer import SealedFile
from model import Prototypes, Tagger


class Queries:
    """Makes queries with one checkpoint; texts are cached."""

    def __init__(self, tagger: Tagger, service: TaggingService) -> None:
        self._tagger = tagger
        self._service = service
        self._texts = AdHocLabels(tagger)

    async def of_text(self, text: str) -> Prototypes:
        """Return the vector that a label with this name has. Raises LabelError."""
        with stage("labels"):
            return await to_thread.run_sync(self._texts.prototypes, text)

    async def of_clip(
        self, file: SealedFile, timeout_seconds: float | None, decode: DecodeMode
    ) -> Prototypes:
        """Return the embedding of the whole clip, with its level and spread over the bank.

        Raises the errors of `TaggingService.embed_video`.
        """
        embedded = await self._service.embed_video(file, timeout_seconds, decode=decode)
        vectors = embedded.embedding[np.newaxis]
        background = self._tagger.calibration.background_of(vectors)
        return Prototypes(("clip",), vectors, background)
