"""Tag video files through the service, without HTTP, and print the tags."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio import to_thread
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.errors import EmptyFile
from app.observe.logger import make_logger
from app.observe.timings import collect_timings, stage
from app.question import ClassifyRequest, OnProgress
from app.question import Progress as Windows
from app.routes.dependencies import State
from app.routes.schemas.options import read_classify_request
from app.routes.schemas.videos import ClassifyAnswer
from app.settings import Settings
from app.startup import open_service
from app.upload.buffer import SealedFile
from model import KinolexError, Tagger


def tag_files(
    videos: Sequence[Path],
    options: Sequence[tuple[str, str]],
    settings: Settings,
    *,
    as_json: bool,
    tagger: Tagger | None = None,
) -> int:
    """Tag the files one after the other; return the exit code: 1 if anything failed, else 0.

    `options` are (name, value) pairs of `POST /classify`. `tagger` replaces the configured
    checkpoint. Tags are printed on stdout, everything else on stderr.
    """
    console, messages = Console(), Console(stderr=True)
    failures = 0

    async def tag_all() -> None:
        nonlocal failures
        request = read_classify_request(options, (), settings)
        with _progress(messages) as progress:
            task = progress.add_task("loading the model", total=None)

            async def on_window(windows: Windows) -> None:
                progress.update(task, completed=windows.done, total=windows.total)

            # only errors are logged: other records would hide the tags on a terminal
            log = make_logger("error", settings.log_format)
            async with open_service(settings, log, tagger) as state:
                for video in videos:
                    progress.reset(task, description=video.name, total=None)
                    try:
                        answer = await _tag(video, request, state, on_window)
                    except KinolexError as error:
                        failures += 1
                        _print_error(messages, f"{video}: {error}", error.code)
                    else:
                        _print_tags(console, video, answer, as_json=as_json)

    try:
        anyio.run(tag_all)
    except KinolexError as error:
        _print_error(messages, str(error), error.code)
        return 1
    return min(failures, 1)


async def _tag(
    video: Path, request: ClassifyRequest, state: State, on_window: OnProgress
) -> ClassifyAnswer:
    with collect_timings() as timings, video.open("rb") as file:
        with stage("intake"):
            digest = await to_thread.run_sync(hashlib.file_digest, file, "sha256")
        sealed = SealedFile(file.fileno(), file.tell(), digest.hexdigest())
        if not sealed.size_bytes:
            raise EmptyFile("the file has no bytes")
        classified = await state["service"].classify(sealed, request, on_window)
    return ClassifyAnswer.of(
        classified,
        sha256=sealed.sha256,
        kept=False,
        tagger=state["tagger"],
        request_id=str(video),
        timings=timings.seconds,
    )


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _print_tags(console: Console, video: Path, answer: ClassifyAnswer, *, as_json: bool) -> None:
    if as_json:
        console.out(answer.model_dump_json(), highlight=False)
        return
    table = Table(title=escape(video.name), title_justify="left", box=None, pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("likelihood")
    table.add_column("label")
    table.add_column("when")
    for tag in answer.tags:
        times = [
            f"{segment.start:.1f}-{segment.end:.1f} s"
            for segment in answer.segments
            for found in segment.tags
            if found.label == tag.label
        ]
        table.add_row(f"{tag.score:.2f}", tag.likelihood, escape(tag.label), ", ".join(times))
    console.print(table)
    if answer.unknown.is_unknown:
        console.print("Probably none of these.", style="yellow")
    for warning in answer.video.warnings:
        console.print(f"note: {warning}", style="dim", markup=False)


def _print_error(console: Console, message: str, code: str) -> None:
    console.print(f"{message} ({code})", style="red", markup=False)
