"""Opens, connects and closes the long-lived parts of the service, and warms up the encoder."""

import gc
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from structlog.typing import FilteringBoundLogger

from app.access.access import open_access
from app.archive.alerts import Alerts
from app.archive.kept_videos import KeptVideos
from app.archive.queries import Queries
from app.archive.retention import keep_deleting
from app.archive.search import ArchiveSearch
from app.archive.window_index import WindowIndex
from app.decode.decode_pool import DecodePool
from app.decode.ffmpeg_version import ffmpeg_version, outdated
from app.decode.gpu_pool import GpuDecodePool
from app.embedding import VideoEmbedder
from app.encode.batcher import Batcher
from app.encode.runtime_switch import switch_runtime
from app.jobs.runner import JobRunner, ToJson
from app.jobs.webhooks import WebhookSender
from app.labels.default_vectors import with_default_vectors
from app.lifecycle.background import keep_running
from app.lifecycle.drain import Drain
from app.lifecycle.folders import check_folder
from app.lifecycle.garbage import freezing
from app.lifecycle.memory import keep_releasing_memory, release_free_memory
from app.observe.metrics import Metrics
from app.question import Classified
from app.readiness import Readiness
from app.routes.dependencies import State
from app.routes.schemas.videos import ClassifyAnswer
from app.service import TaggingService
from app.settings import Settings, gpu_environment
from app.store import LabelStore, everyday_actions
from app.store.access import KeyStore
from app.store.analyses import AnalysisStore
from app.store.jobs import AlertStore, JobStore, WebhookStore
from app.upload.admission import Admission
from model import (
    CheckpointError,
    Label,
    Prototypes,
    RuntimeEncoder,
    Tagger,
    TorchEncoder,
    VideoLimits,
    VideoRanking,
    load_checkpoint,
    use_cores,
)

# A GPU needs little more time for this many windows than for one; it must hold all their frames.
_MAX_BATCH_ON_GPU = 16
_LINGER_ON_GPU_SECONDS = 0.003
# Pauses between attempts of the first inference.
_FIRST_PAUSE_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 60.0


@asynccontextmanager
async def open_service(
    settings: Settings,
    log: FilteringBoundLogger,
    tagger: Tagger | None = None,
    metrics: Metrics | None = None,
    drain: Drain | None = None,
    *,
    defer_text: bool = False,
) -> AsyncGenerator[State]:
    """Open everything that a request needs, and close it in reverse order.

    `tagger` replaces the configured checkpoint. With `defer_text` its text model is loaded at the
    first use. Raises a KinolexError if a part cannot be opened.
    """
    metrics = metrics or Metrics()
    drain, warm = drain or Drain(), anyio.Event()
    async with AsyncExitStack() as stack:
        stack.callback(metrics.close)
        await to_thread.run_sync(_check_folders, settings)
        if tagger is None:
            tagger = await to_thread.run_sync(_load_tagger, settings, log, defer_text)
        if isinstance(tagger.encoder, TorchEncoder):
            tagger = replace(tagger, encoder=RuntimeEncoder(tagger.encoder))
        admission = _admission(settings, metrics.note_load)
        store = await to_thread.run_sync(_open_store, settings, tagger, admission, log)
        stack.callback(store.close)
        store.follow()
        access = await stack.enter_async_context(
            open_access(
                KeyStore(store.engine), open_without_keys=settings.open_without_keys, log=log
            )
        )
        embedder, pool = await stack.enter_async_context(
            _open_embedder(settings, tagger, admission, log)
        )
        service = TaggingService(
            settings=settings, tagger=tagger, store=store, embedder=embedder, admission=admission
        )
        analyses = AnalysisStore(store.engine)
        alerts = AlertStore(store.engine)
        videos = KeptVideos(
            analyses,
            service,
            tagger,
            Alerts(alerts, tagger),
            max_windows=settings.max_windows,
        )
        windows = WindowIndex(
            analyses,
            tagger.video_space,
            tagger.encoder.dim,
            VideoRanking(tagger.calibration),
            partial(_typical_queries, tagger),
            settings.cache_dir,
        )
        stack.callback(windows.close)
        jobs = JobStore(store.engine)
        yield State(
            settings=settings,
            tagger=tagger,
            store=store,
            admission=admission,
            service=service,
            videos=videos,
            jobs=jobs,
            alerts=alerts,
            job_runner=JobRunner(jobs, service, videos, access, settings, _to_json(tagger), log),
            webhooks=WebhookSender(
                WebhookStore(store.engine),
                settings.callback_secrets,
                allow_private=settings.callback_private,
                log=log,
            ),
            queries=Queries(tagger, service),
            search=ArchiveSearch(windows, analyses, tagger),
            metrics=metrics,
            sandbox=pool.sandbox,
            warm=warm,
            drain=drain,
            readiness=Readiness(
                settings=settings, drain=drain, warm=warm, pool=pool, store=store, log=log
            ),
            access=access,
        )


def _check_folders(settings: Settings) -> None:
    check_folder(settings.data_dir, "KINOLEX_DATA_DIR", create=True)
    check_folder(settings.upload_dir, "KINOLEX_UPLOAD_DIR")


@asynccontextmanager
async def open_embedder(
    settings: Settings, log: FilteringBoundLogger, tagger: Tagger | None = None
) -> AsyncGenerator[VideoEmbedder]:
    """Open only what analyses videos: the checkpoint, the decode workers and the encoder.

    The encoder is plain torch, so that a video has the same embedding at every run. `tagger`
    replaces the configured checkpoint. Raises a KinolexError if a part cannot be opened.
    """
    if tagger is None:
        tagger = await to_thread.run_sync(_load_tagger, settings, log)
    admission = _admission(settings)
    async with _open_embedder(settings, tagger, admission, log) as (embedder, _):
        yield embedder


@asynccontextmanager
async def _open_embedder(
    settings: Settings, tagger: Tagger, admission: Admission, log: FilteringBoundLogger
) -> AsyncGenerator[tuple[VideoEmbedder, DecodePool]]:
    async with AsyncExitStack() as stack:
        gpu = _gpu_decode_pool(settings, tagger, log)
        if gpu is not None:
            await stack.enter_async_context(gpu)
        pool = await stack.enter_async_context(_decode_pool(settings, tagger, gpu))
        for sentence in pool.sandbox.missing():
            log.warning("sandbox_incomplete", detail=sentence)
        if reason := outdated(ffmpeg_version()):
            log.warning("ffmpeg_outdated", detail=reason)
        batcher = await stack.enter_async_context(_batcher(tagger))
        embedder = VideoEmbedder(
            settings=settings, tagger=tagger, pool=pool, admission=admission, batcher=batcher
        )
        yield embedder, pool


def _admission(
    settings: Settings,
    on_change: Callable[[int, int, int], None] = lambda uploading, waiting, working: None,
) -> Admission:
    return Admission(
        slots=DecodePool.VIDEOS_PER_WORKER * settings.decode_workers,
        queue_size=settings.queue_size,
        max_uploads=settings.max_uploads,
        max_wait_seconds=settings.request_timeout_seconds,
        on_change=on_change,
    )


def _load_tagger(settings: Settings, log: FilteringBoundLogger, defer_text: bool = False) -> Tagger:
    load = partial(
        load_checkpoint,
        device=_device(settings, log),
        text_model=settings.text_model,
        defer_text=defer_text,
    )
    return with_default_vectors(load(settings.checkpoint) if settings.checkpoint else load())


def _device(settings: Settings, log: FilteringBoundLogger) -> str:
    if settings.device == "cpu":
        return "cpu"
    # importing torch takes seconds, which KINOLEX_DEVICE=cpu avoids here
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if settings.device == "cuda":
        raise CheckpointError("KINOLEX_DEVICE=cuda, but PyTorch finds no usable GPU")
    log.warning("no_gpu", detail="KINOLEX_DEVICE=auto: PyTorch finds no usable GPU, using the CPU")
    return "cpu"


def _open_store(
    settings: Settings, tagger: Tagger, admission: Admission, log: FilteringBoundLogger
) -> LabelStore:
    return LabelStore.open(
        settings.store_url,
        tagger,
        max_labels=settings.max_labels,
        cache_folder=settings.cache_dir,
        is_busy=lambda: admission.is_in_use,
        log=log,
    )


def _typical_queries(tagger: Tagger) -> list[Prototypes]:
    return tagger.prototypes([Label(name) for name in everyday_actions()])


def _gpu_decode_pool(
    settings: Settings, tagger: Tagger, log: FilteringBoundLogger
) -> GpuDecodePool | None:
    # only looks for torchcodec: the GPU worker loads its libraries, this process does not
    has_torchcodec = find_spec("torchcodec") is not None
    if settings.decode_device != "auto" or tagger.device != "cuda" or not has_torchcodec:
        return None
    return GpuDecodePool(
        environment=gpu_environment(),
        on_failure=lambda reason: log.warning("gpu_decode_failed", detail=reason),
        cpu_seconds=settings.decode_cpu_seconds,
    )


def _decode_pool(settings: Settings, tagger: Tagger, gpu: GpuDecodePool | None) -> DecodePool:
    sampling = tagger.sampling
    return DecodePool(
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
        cost_factor=settings.decode_cost_factor,
        usual_frames=(sampling.clips * sampling.frames_per_clip, tagger.preprocess.short_side),
    )


def _batcher(tagger: Tagger) -> Batcher:
    if tagger.device == "cuda":
        return Batcher(
            tagger.features,
            threads=1,
            max_batch_size=_MAX_BATCH_ON_GPU,
            linger_seconds=_LINGER_ON_GPU_SECONDS,
        )
    return Batcher(
        tagger.features, threads=len(os.sched_getaffinity(0)), prepare=partial(use_cores, 1)
    )


@asynccontextmanager
async def keep_warm(state: State, log: FilteringBoundLogger) -> AsyncGenerator[None]:
    """Run a first inference beside the block, set `warm`, then switch to a faster runtime.

    Also runs jobs, sends webhooks, deletes what was kept for long enough, and releases free memory.

    If the inference fails, the error is logged, and it is tried again; until then the process is
    not ready.
    """
    with freezing() as may_freeze:
        settle = _freeze_objects if may_freeze else release_free_memory
        async with anyio.create_task_group() as group:
            group.start_soon(_warm_up, state, log, group, settle)
            group.start_soon(keep_running, "retention", partial(_delete_old, state, log), log)
            group.start_soon(keep_running, "memory", keep_releasing_memory, log)
            group.start_soon(state["webhooks"].run)
            yield
            group.cancel_scope.cancel()


async def _delete_old(state: State, log: FilteringBoundLogger) -> None:
    settings, analyses, jobs = (
        state["settings"],
        AnalysisStore(state["store"].engine),
        state["jobs"],
    )
    max_age, max_job_age = timedelta(days=settings.keep_days), timedelta(days=settings.job_days)

    def delete() -> int:
        return analyses.remove_old(max_age, settings.keep_bytes) + jobs.delete_old(max_job_age)

    await keep_deleting(delete, log)


def _to_json(tagger: Tagger) -> ToJson:
    def to_json(
        classified: Classified, sha256: str, kept: bool, job_id: str, timings: Mapping[str, float]
    ) -> dict[str, Any]:
        answer = ClassifyAnswer.of(
            classified,
            sha256=sha256,
            kept=kept,
            tagger=tagger,
            request_id=job_id,
            timings=timings,
        )
        return answer.model_dump(mode="json")

    return to_json


async def _warm_up(
    state: State, log: FilteringBoundLogger, group: TaskGroup, settle: Callable[[], None]
) -> None:
    tagger = state["tagger"]
    pause = _FIRST_PAUSE_SECONDS
    while not await _infer_once(state, log):
        await anyio.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)
    settle()
    state["warm"].set()
    group.start_soon(state["job_runner"].run)
    log.info("ready", model=tagger.model_id, device=tagger.device)
    if isinstance(tagger.encoder, RuntimeEncoder):
        await switch_runtime(tagger.encoder, tagger, state["settings"], log)
        settle()


async def _infer_once(state: State, log: FilteringBoundLogger) -> bool:
    try:
        await state["service"].warm_up()
    except Exception:  # the reason may pass: no memory, no database
        log.exception("warm_up_failed")
        return False
    return True


def _freeze_objects() -> None:
    """Exempt the objects loaded so far from garbage collection; a full one would take 0.3 s.

    Loading leaves tens of megabytes free between them.
    """
    gc.collect()
    gc.freeze()
    release_free_memory()
