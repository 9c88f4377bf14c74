"""`kinolex archive tag` with the checkpoint of three colours: `python -m ... SOURCE OUT`."""

import sys
from contextlib import AbstractAsyncContextManager

from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.sources import find_videos, open_place
from app.archive.batch.tagging import Tagged, options_of, tag_archive
from app.embedding import VideoEmbedder
from app.observe.logger import make_logger
from app.settings import Settings
from app.startup import open_embedder
from tests.support.fakes import colour_tagger

MEMORY_BYTES = 1 << 28


def open_colours(settings: Settings) -> AbstractAsyncContextManager[VideoEmbedder]:
    """Open what analyses videos, with the checkpoint of three colours."""
    return open_embedder(settings, make_logger("error", "json"), colour_tagger())


def folder_of(out: str) -> ArchiveFolder:
    """Make the archive of three colours under `out`, or open it."""
    return ArchiveFolder.create(*open_place(out), options_of(Settings(), colour_tagger()))


def tag(source: str, out: str) -> Tagged:
    """Tag the videos of a source on this computer."""
    return tag_archive(
        find_videos(source),
        folder_of(out),
        Settings(decode_workers=1),
        open_colours,
        address=None,
        memory_bytes=MEMORY_BYTES,
        report=lambda done, total, failed: print(done, total, failed, flush=True),
    )


if __name__ == "__main__":
    print(tag(*sys.argv[1:]), flush=True)
