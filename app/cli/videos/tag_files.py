"""Tag video files, one after the other, and print the tags."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import anyio
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.remote.connection import ServiceRefused
from app.cli.videos.asking import Ask
from app.cli.videos.inputs import Video
from app.cli.videos.outputs import Outputs, print_error
from model import KinolexError


def tag_files(
    videos: Sequence[Video],
    service: Callable[[], AbstractAsyncContextManager[Ask]],
    outputs: Outputs,
    arriving: AsyncIterator[Video] | None = None,
) -> int:
    """Tag the videos, then those that are `arriving`.

    `service` opens what is asked. Returns the exit code: 1 if anything failed, else 0. Raises the
    OSError of a running service that does not answer.
    """
    failures = 0

    async def tag_all() -> None:
        nonlocal failures
        with _progress(outputs) as progress:
            task = progress.add_task("starting", total=None)

            def report(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            async with service() as ask:
                outputs.start()
                async for video in _each(videos, arriving):
                    progress.reset(task, description=video.name, total=None)
                    failures += not await _tag(video, ask, outputs, report)
                    if arriving is not None:
                        progress.reset(task, description="waiting for videos", total=None)

    try:
        anyio.run(tag_all)
    except KinolexError as error:
        print_error(outputs.messages, str(error), error.code)
        return 1
    return min(failures, 1)


async def _each(
    videos: Sequence[Video], arriving: AsyncIterator[Video] | None
) -> AsyncIterator[Video]:
    for video in videos:
        yield video
    if arriving is not None:
        async for video in arriving:
            yield video


async def _tag(
    video: Video, ask: Ask, outputs: Outputs, report: Callable[[int, int], None]
) -> bool:
    try:
        text = await ask(video, outputs.accept, report)
    except (KinolexError, ServiceRefused) as error:
        outputs.put_failure(video, error.code, str(error))
        return False
    try:
        outputs.put(video, text)
    except OSError as error:
        if not outputs.sidecar:
            raise
        outputs.put_failure(video, "sidecar_not_written", error.strerror or str(error))
        return False
    return True


def _progress(outputs: Outputs) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=outputs.messages,
        transient=True,
    )
