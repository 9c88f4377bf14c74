"""Everything that can be configured, read once from `KINOLEX_` variables.

The only module that reads the environment. `docs/configuration.md` is generated from it.
"""

import difflib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "KINOLEX_"
MIB = 1024**2
# The name is prometheus-client's, which looks at it when it is imported.
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """The service's settings; none changes after start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Server processes; each loads the model and shares the labels.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Names under which the service may be asked, besides `localhost` and IP "
        "addresses, separated by commas; `*.example.org` covers its subdomains, `*` everything.",
    )
    allowed_origins: Names = Field(
        default=(),
        description="Origins of foreign web pages that may use the service, such as "
        "`https://app.example.org`, separated by commas. Its own page always may.",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the label database, and of `cache`, which may be deleted.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="SQLAlchemy URL of the label store; empty: `labels.sqlite` in the data "
        "folder. `postgresql://...`, 15 or newer, lets several machines share the labels.",
    )
    upload_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()),
        description="Folder for uploads that are too large for memory; their files have no name. "
        "By default the system's folder for temporary files.",
    )
    checkpoint: str = Field(
        default="",
        description="Checkpoint folder or Hub id; empty: the one that ships with Kinolex.",
    )
    text_model: str = Field(
        default="",
        description="Text model for labels in place of the checkpoint's, by name or path; it must "
        "have been distilled from that one. Empty: the checkpoint's own.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the encoder runs. `auto` takes the GPU if there is one and says so in "
        "the log; `cuda` refuses to start without one.",
    )
    runtime: Literal["auto", "eager", "compile", "openvino"] = Field(
        default="auto",
        description="What runs the encoder. `eager` is plain PyTorch in fp32. `auto` starts with "
        "it, measures every runtime that is installed here, once, in a process of low priority, "
        "and changes to the fastest whose embeddings stay within cosine 0.999 of it; `compile` "
        "and `openvino` measure only that one. On a GPU all but `eager` mean 16 bits if they stay "
        "as close.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="Form of the log; `auto` is for people on a terminal, else JSON lines.",
    )

    otlp_endpoint: str = Field(
        default="",
        description="OpenTelemetry collector that is sent traces over HTTP, such as "
        "`http://127.0.0.1:4318`; empty: no traces. Needs `pip install 'kinolex[otel]'`.",
    )

    max_upload_bytes: int = Field(
        default=2048 * MIB, ge=1, description="Largest video taken, in bytes (2 GiB)."
    )
    max_json_bytes: int = Field(
        default=16 * MIB, ge=1024, description="Largest JSON body taken, in bytes (16 MiB)."
    )
    max_import_bytes: int = Field(
        default=256 * MIB,
        ge=1024,
        description="Most bytes of labels taken as JSON lines or CSV (256 MiB).",
    )
    upload_memory_bytes: int = Field(
        default=16 * MIB,
        ge=0,
        description="Uploads up to this size stay in memory; larger ones go to the upload folder.",
    )
    upload_idle_seconds: float = Field(
        default=30.0, gt=0, description="An upload that brings nothing for this long is dropped."
    )
    upload_timeout_seconds: float = Field(
        default=3600.0, gt=0, description="An upload may take this long in all."
    )
    max_uploads: int = Field(
        default=64, ge=1, description="Uploads received at once; more get 503."
    )

    max_duration_seconds: float = Field(
        default=4 * 3600.0, gt=0, description="Longest video tagged (4 hours)."
    )
    max_pixels: int = Field(
        default=8_300_000, ge=256, description="Most pixels per frame (4K is 8,294,400)."
    )
    max_frames_per_second: float = Field(
        default=240.0, gt=0, description="Frame rates are believed up to this one."
    )

    request_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Time from the last byte of a video to the answer, waiting included.",
    )
    progress_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="With `granularity=segments`: longest time without another window done.",
    )
    max_windows: int = Field(
        default=1024,
        ge=1,
        le=65536,
        description="Most windows per video; a longer video gets a wider stride.",
    )
    window_seconds: float = Field(
        default=4.0, ge=0.1, description="Length of a window where the request does not say."
    )
    stride_seconds: float = Field(
        default=2.0, ge=0.1, description="Step between windows where the request does not say."
    )
    top_k: int = Field(default=5, ge=1, description="Tags answered where the request does not say.")
    max_ad_hoc_labels: int = Field(
        default=1000, ge=1, description="Most labels that one request may bring along."
    )
    max_labels: int = Field(
        default=1_000_000, ge=1, description="Most labels that a label set may hold."
    )
    many_labels: int = Field(
        default=100_000,
        ge=1,
        description="A write that leaves a label set with more labels says so in its answer.",
    )
    queue_size: int = Field(
        default=32, ge=1, description="Videos that may wait for decoding; more get 503."
    )
    decode_workers: int = Field(
        default_factory=lambda: max(1, len(os.sched_getaffinity(0))),
        ge=1,
        le=256,
        description="Processes that decode, one video each. By default one per processor.",
    )
    decode_threads: int = Field(
        default_factory=lambda: min(8, len(os.sched_getaffinity(0))),
        ge=1,
        le=16,
        description="Threads that decode a video of 720p or more while it is the only one; beside "
        "others each gets one. By default one per processor, at most 8.",
    )
    decode_device: Literal["auto", "cpu"] = Field(
        default="auto",
        description="Where plain videos are decoded. `auto` takes the GPU if the encoder runs on "
        "one and the extra `gpu` is installed, with less protection (docs/performance.md); `cpu` "
        "never does.",
    )
    decode_memory_bytes: int = Field(
        default=2048 * MIB, ge=256 * MIB, description="Address space of a decode process (2 GiB)."
    )
    decode_cpu_seconds: int = Field(
        default=60, ge=1, description="Processor time that a decode process may use on one video."
    )
    decode_jobs_per_worker: int = Field(
        default=1000, ge=1, description="Videos after which a decode process is replaced."
    )

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _stride_fits_window(self) -> Self:
        if self.stride_seconds > self.window_seconds:
            raise ValueError("stride_seconds may not be over window_seconds")
        return self

    @property
    def metrics_dir(self) -> Path:
        """Where several server processes keep their numbers for `/metrics`."""
        return self.data_dir / "metrics"

    @property
    def cache_dir(self) -> Path:
        """Where what can be made again is kept; written by the service alone."""
        return self.data_dir / "cache"

    @property
    def store_url(self) -> str:
        """The label store's URL, from `database_url` or the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'labels.sqlite'}"


def share_metrics(folder: Path) -> None:
    """Tells the server processes started from here on to keep their numbers in one folder."""
    os.environ[_METRICS_FOLDER] = str(folder)


def metrics_folder() -> Path | None:
    """The folder in which server processes share their numbers; None for one that is alone."""
    folder = os.environ.get(_METRICS_FOLDER)
    return Path(folder) if folder else None


def keep_compilations(folder: Path) -> None:
    """Have torch.compile, here and in child processes, keep its results in `folder`.

    Its own default is a folder under /tmp whose name others can guess, and it trusts what it finds.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.resolve())


def gpu_environment() -> dict[str, str]:
    """What a GPU's driver and its libraries read, for a process that inherits nothing else."""
    names = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in names if name in os.environ}


def unknown_variables() -> list[str]:
    """A sentence for each `KINOLEX_` variable that no setting has: a misspelling says nothing."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return [
        f"{name} is not a setting"
        + "".join(f"; did you mean {close}?" for close in difflib.get_close_matches(name, known, 1))
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]
