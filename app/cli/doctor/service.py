"""Looks at what the settings name: folders, database, checkpoint, runtime, and the sandbox."""

import shutil
from pathlib import Path

import anyio
from sqlalchemy import text

from app.cli.doctor.findings import Finding
from app.decode.decode_pool import DecodePool
from app.decode.worker_pool import WorkerDied
from app.lifecycle.folders import FolderNotUsable, check_folder
from app.settings import Settings, unknown_variables
from app.store.database import open_engine, reading
from model import (
    CheckpointError,
    KinolexError,
    Tagger,
    VideoLimits,
    installed_runtimes,
    load_checkpoint,
    measured_runtime,
)

_GIB = 1024**3
_LEAST_FREE = _GIB
_POOL_START_SECONDS = 60


def variables() -> list[Finding]:
    """Say which variables are no settings."""
    return [
        Finding("settings", "note", sentence, "docs/configuration.md lists all settings")
        for sentence in unknown_variables()
    ]


def folder(subject: str, path: Path, setting: str) -> Finding:
    """Say whether files can be written to a folder, or to the one in which it will be made."""
    shown = path.absolute()
    existing = next(each for each in (shown, *shown.parents) if each.exists())
    try:
        check_folder(existing, setting)
    except FolderNotUsable as error:
        return Finding(subject, "problem", str(error), f"change its owner, or set {setting}")
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE:
        return Finding(subject, "note", f"{shown}, only {free / _GIB:.1f} GiB free")
    made = "" if existing == shown else ", made at the first start"
    return Finding(subject, "ok", f"{shown}, {free / _GIB:.0f} GiB free{made}")


def database(settings: Settings) -> Finding:
    """Say whether the database answers; one that is not there yet is not made."""
    if not settings.database_url and not (settings.data_dir / "labels.sqlite").exists():
        return Finding("database", "ok", "SQLite, made at the first start")
    try:
        engine = open_engine(settings.store_url)
        try:
            with reading(engine) as connection:
                connection.execute(text("SELECT 1"))
        finally:
            engine.dispose()
    except KinolexError as error:
        remedy = "docs/how-to/postgresql.md" if settings.database_url else "restore a backup"
        return Finding("database", "problem", f"{error.code}: {error}", remedy)
    return Finding("database", "ok", f"{engine.dialect.name} answers")


def checkpoint(settings: Settings) -> list[Finding]:
    """Say which checkpoint is served, on which device, and by which runtime."""
    import torch

    has_gpu = torch.cuda.is_available()
    if settings.device == "cuda" and not has_gpu:
        remedy = "install a driver and PyTorch with CUDA, or set KINOLEX_DEVICE=auto"
        return [Finding("device", "problem", "KINOLEX_DEVICE=cuda, and no usable GPU", remedy)]
    device = "cuda" if has_gpu and settings.device != "cpu" else "cpu"
    try:
        tagger = (
            load_checkpoint(settings.checkpoint, device=device, text_model=settings.text_model)
            if settings.checkpoint
            else load_checkpoint(device=device, text_model=settings.text_model)
        )
    except CheckpointError as error:
        remedy = "set KINOLEX_CHECKPOINT and KINOLEX_TEXT_MODEL right, or leave them out"
        return [Finding("checkpoint", "problem", str(error), remedy)]
    name = f"{tagger.model_id} {tagger.revision}"
    return [
        Finding("checkpoint", "ok", name),
        Finding("device", "ok", device),
        _runtime(tagger, settings),
    ]


def _runtime(tagger: Tagger, settings: Settings) -> Finding:
    installed = installed_runtimes()
    if tagger.device == "cuda" or settings.runtime == "eager":
        return Finding("runtime", "ok", "plain PyTorch" if tagger.device == "cpu" else "16 bits")
    # `compile` takes minutes to measure: the service tries it in a second round
    quick = [name for name in installed if name != "compile"]
    chosen = measured_runtime(tagger, quick, cache=settings.cache_dir)
    if chosen is None:
        names = ", ".join(installed)
        return Finding("runtime", "ok", f"{names}; measured once after the service has started")
    took = f"{chosen.runtime.name} in {chosen.runtime.precision}"
    return Finding("runtime", "ok", f"{took}, measured as the fastest of {', '.join(quick)}")


def sandbox() -> list[Finding]:
    """Start a decode process, and say what protects the computer from it."""
    try:
        missing = anyio.run(_missing_protections)
    except (KinolexError, WorkerDied, OSError, TimeoutError) as error:
        return [Finding("decoding", "problem", f"no decode process starts: {error}")]
    if not missing:
        return [Finding("sandbox", "ok", "decode processes are confined by seccomp and Landlock")]
    return [Finding("sandbox", "note", sentence) for sentence in missing]


async def _missing_protections() -> tuple[str, ...]:
    with anyio.fail_after(_POOL_START_SECONDS):
        async with DecodePool(1, VideoLimits()) as pool:
            return pool.sandbox.missing()
