"""Wiring: the parts of the service are made here, handed to each other, and closed again."""

import gc
import os
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import anyio
from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from structlog.typing import FilteringBoundLogger

from app.decode.decode_pool import DecodePool
from app.decode.gpu_pool import GpuDecodePool
from app.encode.batcher import Batcher
from app.encode.runtime_switch import switch_runtime
from app.http.body_limits import BodyLimit, EarlyAnswer
from app.http.origin_guard import OriginGuard
from app.observe.logger import make_logger
from app.observe.metrics import Metrics
from app.observe.request_log import RequestLog
from app.observe.tracing import Tracing
from app.problems import PROBLEM_RESPONSE, install_problems
from app.routes import classify, embed, examples, labels, system
from app.routes.dependencies import State
from app.service import TaggingService
from app.settings import Settings, gpu_environment, metrics_folder, unknown_variables
from app.store import LabelStore
from app.upload.admission import Admission
from model import (
    CheckpointError,
    KinolexError,
    RuntimeEncoder,
    Tagger,
    TorchEncoder,
    VideoLimits,
    load_checkpoint,
    use_cores,
)

# A GPU runs so many videos in hardly more time than one; frames of so many are in its memory.
_MOST_ON_GPU = 16
_LINGER_ON_GPU_SECONDS = 0.003


def create_app(
    settings: Settings | None = None,
    *,
    tagger: Tagger | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The service. Without `settings` they come from the environment; without `tagger` the
    checkpoint is loaded when the app starts; without `tracing` traces go where the settings say.
    """
    settings = settings or Settings()
    log = make_logger(settings.log_level, settings.log_format)
    metrics = Metrics(metrics_folder())
    if tracing is None and settings.otlp_endpoint:
        tracing = Tracing.to_endpoint(settings.otlp_endpoint)
    app = FastAPI(
        title="Kinolex",
        description="Names what happens in a video, in words you choose, without retraining.",
        version=version("kinolex"),
        lifespan=_lifespan(settings, tagger, log, metrics, tracing),
        responses={"default": PROBLEM_RESPONSE},
        telemetry=tracing.fastapi_settings if tracing else None,
    )
    install_problems(app)
    app.include_router(classify.router)
    app.include_router(embed.router)
    app.include_router(labels.router)
    app.include_router(system.router)
    system.mount_page_files(app)
    # the last one added is the first to see a request
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_json_bytes,
        max_bytes_of=dict.fromkeys(labels.LINE_TYPES, settings.max_import_bytes),
        streaming_paths=re.compile(
            f"{classify.CLASSIFY_PATH}|{embed.EMBED_PATH}|.*{examples.EXAMPLES}"
        ),
    )
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Content-Type", "If-Match", "If-None-Match", "X-Request-ID"],
            expose_headers=["ETag", "Retry-After", "Server-Timing", "X-Request-ID"],
        )
    app.add_middleware(
        OriginGuard,
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
    )
    app.add_middleware(EarlyAnswer)
    app.add_middleware(
        RequestLog, log=log, metrics=metrics, tracing=tracing, quiet_paths=system.PROBE_PATHS
    )
    return app


@asynccontextmanager
async def open_service(
    settings: Settings,
    log: FilteringBoundLogger,
    tagger: Tagger | None = None,
    metrics: Metrics | None = None,
) -> AsyncGenerator[State]:
    """Everything that answers questions, without HTTP; closed in reverse order."""
    metrics = metrics or Metrics()
    async with AsyncExitStack() as stack:
        stack.callback(metrics.close)
        if tagger is None:
            tagger = await to_thread.run_sync(_load_tagger, settings, log)
        if isinstance(tagger.encoder, TorchEncoder):
            tagger = replace(tagger, encoder=RuntimeEncoder(tagger.encoder))
        admission = Admission(
            slots=DecodePool.VIDEOS_PER_WORKER * settings.decode_workers,
            queue_size=settings.queue_size,
            max_uploads=settings.max_uploads,
            max_wait_seconds=settings.request_timeout_seconds,
            on_change=metrics.note_load,
        )
        open_store = partial(
            LabelStore.open,
            max_labels=settings.max_labels,
            cache_folder=settings.cache_dir,
            is_busy=lambda: admission.is_in_use,
        )
        store = await to_thread.run_sync(open_store, settings.store_url, tagger)
        stack.callback(store.close)
        store.follow()
        gpu = None
        # found, not loaded: its libraries stay out of this process
        if settings.decode_device == "auto" and tagger.device == "cuda" and find_spec("torchcodec"):
            gpu = await stack.enter_async_context(_gpu_decode_pool(settings, log))
        pool = await stack.enter_async_context(
            DecodePool(
                settings.decode_workers,
                VideoLimits(
                    max_duration_seconds=settings.max_duration_seconds,
                    max_pixels=settings.max_pixels,
                    max_frames_per_second=settings.max_frames_per_second,
                ),
                max_memory_bytes=settings.decode_memory_bytes,
                cpu_seconds=settings.decode_cpu_seconds,
                jobs_per_worker=settings.decode_jobs_per_worker,
                gpu=gpu,
                usual_frames=_usual_frames(tagger),
            )
        )
        batcher = await stack.enter_async_context(_batcher(tagger))
        service = TaggingService(
            settings=settings,
            tagger=tagger,
            store=store,
            pool=pool,
            admission=admission,
            batcher=batcher,
        )
        yield State(
            settings=settings,
            tagger=tagger,
            store=store,
            admission=admission,
            service=service,
            metrics=metrics,
            warm=anyio.Event(),
        )


def _lifespan(
    settings: Settings,
    tagger: Tagger | None,
    log: FilteringBoundLogger,
    metrics: Metrics,
    tracing: Tracing | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        for sentence in unknown_variables():
            log.warning("unknown_variable", detail=sentence)
        try:
            async with (
                open_service(settings, log, tagger, metrics) as state,
                _warming(state, log),
            ):
                yield state
        except KinolexError as error:
            log.error("start_failed", code=error.code, detail=str(error))
            raise
        finally:
            if tracing is not None:
                await to_thread.run_sync(tracing.close)

    return lifespan


@asynccontextmanager
async def _warming(state: State, log: FilteringBoundLogger) -> AsyncGenerator[None]:
    """Runs a first inference beside the block, and then changes to a faster runtime.

    Readiness does not hold up the process, and no measuring or compiling holds up readiness.
    """

    async def warm_up() -> None:
        try:
            await state["service"].warm_up()
        except (
            Exception
        ):  # whatever it was, the process stays up, not ready, with the reason logged
            log.exception("warm_up_failed")
        else:
            tagger = state["tagger"]
            _set_aside()
            state["warm"].set()
            log.info("ready", model=tagger.model_id, device=tagger.device)
            if isinstance(tagger.encoder, RuntimeEncoder):
                await switch_runtime(tagger.encoder, tagger, state["settings"], log)
                _set_aside()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(warm_up)
            yield
            group.cancel_scope.cancel()
    finally:
        gc.unfreeze()


def _set_aside() -> None:
    """Spares the garbage collector what stays for good: with it a full run stops the process for
    a third of a second.
    """
    gc.collect()
    gc.freeze()


def _usual_frames(tagger: Tagger) -> tuple[int, int]:
    sampling = tagger.sampling
    return sampling.clips * sampling.frames_per_clip, tagger.preprocess.short_side


def _batcher(tagger: Tagger) -> Batcher:
    if tagger.device == "cuda":
        return Batcher(
            tagger.embed_frames,
            threads=1,
            max_batch_size=_MOST_ON_GPU,
            linger_seconds=_LINGER_ON_GPU_SECONDS,
        )
    return Batcher(
        tagger.embed_frames, threads=len(os.sched_getaffinity(0)), prepare=partial(use_cores, 1)
    )


def _gpu_decode_pool(settings: Settings, log: FilteringBoundLogger) -> GpuDecodePool:
    return GpuDecodePool(
        environment=gpu_environment(),
        on_failure=lambda reason: log.warning("gpu_decode_failed", detail=reason),
        cpu_seconds=settings.decode_cpu_seconds,
        jobs_per_worker=settings.decode_jobs_per_worker,
    )


def _load_tagger(settings: Settings, log: FilteringBoundLogger) -> Tagger:
    device = _device(settings, log)
    if settings.checkpoint:
        return load_checkpoint(settings.checkpoint, device=device, text_model=settings.text_model)
    return load_checkpoint(device=device, text_model=settings.text_model)


def _device(settings: Settings, log: FilteringBoundLogger) -> str:
    if settings.device == "cpu":
        return "cpu"
    # seconds of import that a process which is told to use the CPU does not pay here
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if settings.device == "cuda":
        raise CheckpointError("KINOLEX_DEVICE=cuda, but PyTorch finds no usable GPU")
    log.warning(
        "no_gpu", detail="KINOLEX_DEVICE=auto: PyTorch finds no usable GPU, the CPU is used"
    )
    return "cpu"
