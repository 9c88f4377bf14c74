"""Which videos the arguments of a command name: files, folders, patterns, standard input."""

import os
import shutil
import sys
import tempfile
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import TypeAlias

import typer
from anyio import to_thread

from app.archive.batch.video_suffixes import VIDEO_SUFFIXES
from model import KinolexError

STANDARD_INPUT = "-"
# sizes and modification times of files in nanoseconds
States: TypeAlias = Mapping[Path, tuple[int, int]]


class FileNotReadable(KinolexError):
    """A file cannot be opened."""

    code = "file_unreadable"


@dataclass(frozen=True, slots=True)
class Video:
    """A video to tag: a file, or standard input if `path` is None."""

    path: Path | None

    @property
    def name(self) -> str:
        """How answers and messages name it: bytes that are not UTF-8 as `\\xe9`."""
        if self.path is None:
            return STANDARD_INPUT
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")

    @contextmanager
    def open(self) -> Generator[BufferedReader | BufferedRandom]:
        """Open it for the block as a file with a descriptor. Raises FileNotReadable."""
        if self.path is not None:
            try:
                file = self.path.open("rb")
            except OSError as error:
                raise FileNotReadable(error.strerror or str(error)) from error
            with file:
                yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            yield copy


def named_videos(words: Sequence[str]) -> list[Video]:
    """Return the videos that the arguments name, each once, in their order.

    Of a folder, all videos in it and below, sorted by path. Raises typer.BadParameter for an
    argument that names nothing.
    """
    videos: dict[Video, None] = {}
    for word in words:
        videos.update(dict.fromkeys(_named(word)))
    return list(videos)


def folders(words: Sequence[str]) -> list[Path]:
    """Return the folders among the arguments."""
    return [Path(word) for word in words if Path(word).is_dir()]


def videos_in(folder: Path) -> list[Path]:
    """Return the videos in a folder and below it, sorted by path; hidden files are left out."""
    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower().removeprefix(".") in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return sorted(path for path in found if path.is_file())


def _named(word: str) -> Iterator[Video]:
    path = Path(word)
    if word == STANDARD_INPUT:
        yield Video(None)
    elif path.is_dir():
        yield from map(Video, videos_in(path))
    elif path.exists():
        yield Video(path)
    elif any(sign in word for sign in "*?["):
        found = sorted(path for path in _matching(path) if path.is_file())
        if not found:
            raise typer.BadParameter(f"no file matches '{word}'")
        yield from map(Video, found)
    else:
        raise typer.BadParameter(f"file '{word}' does not exist")


def _matching(pattern: Path) -> Iterator[Path]:
    """The paths that match a pattern; `**` stands for any number of folders."""
    start = Path(pattern.anchor)
    return start.glob(str(pattern.relative_to(start)))


async def arriving_videos(
    watched: Sequence[Path], first: States, pause: Callable[[], Awaitable[object]]
) -> AsyncIterator[Video]:
    """Yield videos that appear in the folders, or change, after the `first` look; never ends.

    The folders are read after every `pause`. A file is complete, and yielded, when its size and
    time are those of the look before.
    """
    seen = first
    done = dict(first)
    while True:
        await pause()
        found = await to_thread.run_sync(states, watched)
        for path, state in found.items():
            if seen.get(path) == state and done.get(path) != state:
                done[path] = state
                yield Video(path)
        seen = found


def states(watched: Sequence[Path]) -> States:
    """Return sizes and times of the videos in the folders."""
    found: dict[Path, tuple[int, int]] = {}
    for path in (path for folder in watched for path in videos_in(folder)):
        try:
            facts = path.stat()
        except OSError:  # gone since it was listed
            continue
        found[path] = facts.st_size, facts.st_mtime_ns
    return found
