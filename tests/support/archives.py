"""Archives of small videos, with the checkpoint of three colours and without Ray."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as fs

from app.archive.batch.analyser import Analyser, Work
from app.archive.batch.folder import ArchiveFolder, Known
from app.archive.batch.sources import Source, find_videos
from app.settings import Settings
from benchmarks.archive.tag_colours import folder_of, open_colours
from tests.support.clips import write_clip

SETTINGS = Settings(decode_workers=1)


def write_videos(folder: Path, **colours: Sequence[str]) -> Path:
    """Write a video of a second of each colour for each name; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, seconds in colours.items():
        write_clip(folder / f"{name}.mp4", seconds_colours=seconds)
    return folder


@contextmanager
def analyser(
    source: fs.FileSystem, folder: ArchiveFolder, known: Known | None = None
) -> Generator[Analyser]:
    """An analyser that writes to `folder`."""
    work = Work(SETTINGS, source, folder, folder.options())
    made = Analyser(work, known or Known(), open_colours)
    try:
        yield made
    finally:
        made.close()


def analysed(source: Source | Path, out: Path, *, known: Known | None = None) -> ArchiveFolder:
    """Analyse the videos of a source, and note the files."""
    found = find_videos(str(source)) if isinstance(source, Path) else source
    folder = folder_of(str(out))
    with analyser(found.filesystem, folder, known) as analyse:
        folder.write_files(analyse(found.references))
    return folder
