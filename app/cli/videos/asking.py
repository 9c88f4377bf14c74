"""Asks about videos: the service in this process, or a running one."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from anyio import to_thread

from app.cli.loading import without_collections
from app.cli.remote.connection import RemoteService
from app.cli.videos.inputs import Video
from app.lifecycle.garbage import freezing

if TYPE_CHECKING:
    from app.settings import Settings
    from model import Tagger

Options: TypeAlias = Sequence[tuple[str, str]]
# called with the numbers of windows that are done and of all
Report: TypeAlias = Callable[[int, int], None]
# Returns the answer about a video, JSON or subtitles as the media type says.
Ask: TypeAlias = Callable[[Video, str, Report], Awaitable[str]]


@asynccontextmanager
async def own_service(
    options: Options, settings: "Settings", tagger: "Tagger | None" = None
) -> AsyncGenerator[Ask]:
    """Open the service in this process; `tagger` replaces the configured checkpoint.

    The text model is loaded only if the question has labels of its own, or stored ones lack
    vectors. Raises KinolexError, as asking does.
    """
    async with AsyncExitStack() as stack:
        may_freeze = stack.enter_context(freezing())
        with without_collections(freeze=may_freeze):
            from app.errors import EmptyFile
            from app.observe.logger import make_logger
            from app.observe.timings import collect_timings, stage
            from app.question import Progress
            from app.routes.integrations.subtitles import subtitles
            from app.routes.schemas.options import read_classify_request
            from app.routes.schemas.videos import ClassifyAnswer
            from app.startup import open_service
            from app.upload.buffer import SealedFile

            request = read_classify_request(options, (), settings)
            # one video after the other needs one process; records below errors would hide the tags
            settings = settings.model_copy(update={"decode_workers": 1})
            log = make_logger("error", settings.log_format)
            state = await stack.enter_async_context(
                open_service(settings, log, tagger, defer_text=True)
            )

        async def ask(video: Video, accept: str, report: Report) -> str:
            async def on_windows(progress: Progress) -> None:
                report(progress.done, progress.total)

            with collect_timings() as timings, video.open() as file:
                with stage("intake"):
                    digest = await to_thread.run_sync(partial(hashlib.file_digest, file, "sha256"))
                sealed = SealedFile(file.fileno(), file.tell(), digest.hexdigest())
                if not sealed.size_bytes:
                    raise EmptyFile("the file has no bytes")
                classified = await state["service"].classify(sealed, request, on_windows)
            answer = ClassifyAnswer.of(
                classified,
                sha256=sealed.sha256,
                kept=False,
                tagger=state["tagger"],
                request_id="",
                timings=timings.seconds,
            )
            text = subtitles(accept, answer)
            return answer.model_dump_json() if text is None else text

        yield ask


@asynccontextmanager
async def running_service(options: Options, service: RemoteService) -> AsyncGenerator[Ask]:
    """Give what asks a running service. Asking raises ServiceRefused, and OSError."""

    def send(video: Video, accept: str) -> str:
        with video.open() as file:
            return service.classify(file, options, accept)

    async def ask(video: Video, accept: str, report: Report) -> str:
        # a thread that waits for the service must not keep Ctrl-C from ending the command
        return await to_thread.run_sync(partial(send, video, accept), abandon_on_cancel=True)

    yield ask
