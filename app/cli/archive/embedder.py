"""What `kinolex archive` takes from the service: its checkpoint, and what analyses videos."""

from contextlib import AbstractAsyncContextManager

from app.embedding import VideoEmbedder
from app.observe.logger import make_logger
from app.settings import Settings
from app.startup import open_embedder as open_with_log
from model import Tagger, load_checkpoint


def configured_tagger(settings: Settings) -> Tagger:
    """Load the checkpoint of the settings on the CPU. Raises CheckpointError."""
    if settings.checkpoint:
        return load_checkpoint(settings.checkpoint, text_model=settings.text_model)
    return load_checkpoint(text_model=settings.text_model)


def open_embedder(settings: Settings) -> AbstractAsyncContextManager[VideoEmbedder]:
    """Open what analyses videos, in an actor."""
    return open_with_log(settings, make_logger("error", settings.log_format))
