"""Settings, read once at start from `KINOLEX_` environment variables.

No other module reads or sets environment variables. `docs/configuration.md` is generated from
`Settings`.
"""

import base64
import binascii
import difflib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "KINOLEX_"
MIB = 1024**2
# prometheus-client defines this name and reads it when it is imported.
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

Names = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[bytes, ...], NoDecode]
# At most a thousand years: the time that long ago must have a date.
_Days = Annotated[float, Field(gt=0, le=365_000)]
_SECRET_PREFIX = "whsec_"


class Settings(BaseSettings):
    """Settings of the service; frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Number of server processes. Each loads the model; all share the labels.",
    )
    stop_grace_seconds: float = Field(
        default=30.0,
        ge=4,
        description="Time after SIGTERM within which the service has ended, with exit code 0. "
        "Requests that are not done after three quarters of it get 503 `shutting_down`. Docker's "
        "and Kubernetes' grace periods must not be shorter.",
    )
    stop_delay_seconds: float = Field(
        default=3.0,
        ge=0,
        description="Time after SIGTERM in which the service still takes new requests, but "
        "`/readyz` answers 503, so that load balancers notice. At most half of the grace time.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Host names that requests may use, separated by commas. `*.example.org` allows "
        "all subdomains, `*` every name. `localhost` and IP addresses are always allowed.",
    )
    allowed_origins: Names = Field(
        default=(),
        description="Origins of other web pages that may use the service, such as "
        "`https://app.example.org`, separated by commas. The service's own page is always allowed.",
    )
    open_without_keys: bool = Field(
        default=False,
        description="Answer every client that reaches the port while there are no API keys, not "
        "only clients on the service's own computer. Only for a port that strangers cannot reach, "
        "such as one that a container publishes on 127.0.0.1. Has no effect once there is a key.",
    )
    data_dir: Path = Field(
        default_factory=lambda: _user_data_folder(),
        description="Folder for the label database and for `cache`, which may be deleted. Default: "
        "`kinolex` in `$XDG_DATA_HOME`, or in `~/.local/share`.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="SQLAlchemy URL of the label database. `postgresql://...` (PostgreSQL 15 or "
        "newer) lets several machines share the labels. Default: `labels.sqlite` in the data "
        "folder.",
    )
    upload_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()),
        description="Folder for uploads that do not fit in memory. The files have no name. "
        "Default: the system's folder for temporary files.",
    )
    api_key: str = Field(
        default="",
        repr=False,
        description="API key that `kinolex search` and `kinolex jobs` send to a running service. "
        "The service does not read it.",
    )
    checkpoint: str = Field(
        default="",
        description="Folder or Hub id (`org/name[@revision]`) of the checkpoint, or, for `kinolex "
        "serve`, of a model that it can import. Default: the one that ships with Kinolex.",
    )
    text_model: str = Field(
        default="",
        description="Name or path of a text model that replaces the checkpoint's. It must be "
        "distilled from that model. Default: the checkpoint's text model.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Device that runs the encoder. `auto` uses a GPU if there is one and logs a "
        "warning if there is none; `cuda` fails at start without a GPU.",
    )
    runtime: Literal["auto", "eager", "compile", "openvino"] = Field(
        default="auto",
        description="Runtime of the encoder. `eager` is plain PyTorch in fp32. `auto` starts with "
        "it, measures every installed runtime once in a process of low priority, and changes to "
        "the fastest whose embeddings have a cosine similarity of at least 0.999 to those of "
        "`eager`. `compile` and `openvino` measure only that runtime. On a GPU, all but `eager` "
        "use 16-bit numbers if these are as close.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Minimum log level."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="Log format. `auto` is `console` on a terminal, else `json` (JSON lines).",
    )

    otlp_endpoint: str = Field(
        default="",
        description="Address of an OpenTelemetry collector that receives traces over HTTP, such as "
        "`http://127.0.0.1:4318`. Needs `pip install --editable '.[otel]'`. Default: no traces.",
    )

    max_upload_bytes: int = Field(
        default=2048 * MIB, ge=1, description="Maximum size of a video, in bytes (2 GiB)."
    )
    max_json_bytes: int = Field(
        default=16 * MIB, ge=1024, description="Maximum size of a JSON body, in bytes (16 MiB)."
    )
    max_import_bytes: int = Field(
        default=256 * MIB,
        ge=1024,
        description="Maximum size of labels as JSON lines or CSV, in bytes (256 MiB).",
    )
    upload_memory_bytes: int = Field(
        default=16 * MIB,
        ge=0,
        description="Maximum size of an upload that is kept in memory, in bytes (16 MiB). Larger "
        "uploads go to the upload folder.",
    )
    upload_idle_seconds: float = Field(
        default=30.0, gt=0, description="Maximum time between two pieces of an upload."
    )
    upload_timeout_seconds: float = Field(
        default=3600.0, gt=0, description="Maximum time for a whole upload."
    )
    min_upload_rate: int = Field(
        default=1024, ge=0, description="Minimum mean rate of an upload after 30 s, in bytes/s."
    )
    max_uploads: int = Field(
        default=64, ge=1, description="Maximum number of uploads at once, half from one client."
    )

    max_duration_seconds: float = Field(
        default=4 * 3600.0, gt=0, description="Maximum duration of a video (4 hours)."
    )
    max_pixels: int = Field(
        default=38_000_000,
        ge=256,
        description="Maximum number of pixels in a frame (8K has up to 37,748,736).",
    )
    max_frames_per_second: float = Field(
        default=240.0,
        gt=0,
        description="Maximum frame rate; a higher rate in a file is treated as this one.",
    )

    request_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Maximum time from the last byte of a video to the answer, queue included.",
    )
    progress_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Maximum time for a batch of windows with `granularity=segments`.",
    )
    segments_timeout_seconds: float = Field(
        default=1800.0,
        gt=0,
        description="Maximum time from the last byte of a video to the answer with "
        "`granularity=segments` (30 minutes).",
    )
    max_windows: int = Field(
        default=1024,
        ge=1,
        le=65536,
        description="Maximum number of windows of a video; a longer video gets a wider stride.",
    )
    window_seconds: float = Field(
        default=4.0, ge=0.1, description="Default length of a window, in seconds."
    )
    stride_seconds: float = Field(
        default=2.0,
        ge=0.1,
        description="Default time from one window's start to the next, in seconds.",
    )
    top_k: int = Field(default=5, ge=1, description="Default maximum number of tags.")
    max_ad_hoc_labels: int = Field(
        default=1000, ge=1, description="Maximum number of labels or texts in one request."
    )
    max_labels: int = Field(
        default=1_000_000, ge=1, description="Maximum number of labels in a label set."
    )
    many_labels: int = Field(
        default=100_000,
        ge=1,
        description="Size of a label set over which the answer to a write has a warning.",
    )
    keep_days: _Days = Field(default=365.0, description="Days for which analyses are kept.")
    keep_bytes: int = Field(
        default=10 * 1024 * MIB,
        ge=0,
        description="Maximum size of all kept analyses, in bytes (10 GiB); the oldest go first.",
    )
    job_slots: int = Field(
        default_factory=lambda: max(1, len(os.sched_getaffinity(0))),
        ge=1,
        le=256,
        description="Number of jobs that a process runs at once. Default: one per processor.",
    )
    job_days: _Days = Field(
        default=7.0,
        description="Time for which a job that has ended is kept with its result, in days.",
    )
    callback_secrets: Secrets = Field(
        default=(),
        repr=False,
        description="Secrets that sign webhooks, `whsec_` and base64 of 24 to 64 bytes, separated "
        "by commas. Each webhook is signed with all of them: to change the secret, put the new one "
        "beside the old one, and remove the old one later. Without a secret, jobs take no "
        "`callback_url`.",
    )
    callback_private: bool = Field(
        default=False, description="Whether webhooks may go to private and loopback addresses."
    )
    queue_size: int = Field(
        default=32,
        ge=1,
        description="Maximum number of requests that wait for decoding; others get 503.",
    )
    decode_workers: int = Field(
        default_factory=lambda: max(1, len(os.sched_getaffinity(0))),
        ge=1,
        le=256,
        description="Number of decode processes; each decodes one video at a time. Default: one "
        "per processor.",
    )
    decode_threads: int = Field(
        default_factory=lambda: min(8, len(os.sched_getaffinity(0))),
        ge=1,
        le=16,
        description="Number of threads that decode a video of 720p or more while no other request "
        "is in progress; otherwise one thread per video. Default: one per processor, at most 8.",
    )
    decode_device: Literal["auto", "cpu"] = Field(
        default="auto",
        description="Device that decodes plain videos. `auto` uses the GPU if the encoder runs on "
        "one and the extra `gpu` is installed; this has less protection (docs/performance.md). "
        "`cpu` never uses the GPU.",
    )
    decode_memory_bytes: int = Field(
        default=2048 * MIB,
        ge=256 * MIB,
        description="Maximum address space of a decode process, in bytes (2 GiB).",
    )
    decode_cpu_seconds: int = Field(
        default=60, ge=1, description="Maximum processor time of a decode process for one video."
    )
    decode_cost_factor: float = Field(
        default=1.0,
        gt=0,
        le=10_000,
        description="Multiplies what a video may cost for its size. At 1, a file of up to 1 MB may "
        "cost 2 s of processor time and 300 MB of memory, and each further MB 8 s and 50 MB more; "
        "a video that costs more is refused.",
    )
    decode_jobs_per_worker: int = Field(
        default=250,
        ge=1,
        description="Number of videos after which a decode process is replaced.",
    )

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("callback_secrets", mode="before")
    @classmethod
    def _decode_secrets(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(_secret(part) for part in parts)

    @model_validator(mode="after")
    def _stride_fits_window(self) -> Self:
        if self.stride_seconds > self.window_seconds:
            raise ValueError(f"{PREFIX}STRIDE_SECONDS must not be over {PREFIX}WINDOW_SECONDS")
        return self

    @model_validator(mode="after")
    def _delay_fits_grace(self) -> Self:
        if self.stop_delay_seconds > self.stop_grace_seconds / 2:
            limit = f"half of {PREFIX}STOP_GRACE_SECONDS"
            raise ValueError(f"{PREFIX}STOP_DELAY_SECONDS must not be over {limit}")
        return self

    @property
    def metrics_dir(self) -> Path:
        """Folder in which several server processes share their metrics."""
        return self.data_dir / "metrics"

    @property
    def cache_dir(self) -> Path:
        """Folder for files that can be made again; only the service writes to it."""
        return self.data_dir / "cache"

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the label database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'labels.sqlite'}"


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith(_SECRET_PREFIX) or not 24 <= len(secret) <= 64:
        # the message must not contain the secret
        raise ValueError("a secret is whsec_ and the base64 of 24 to 64 bytes")
    return secret


def _user_data_folder() -> Path:
    # a relative path is to be ignored, says the XDG specification
    named = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".local/share") / "kinolex"


def use_checkpoint(name: str) -> None:
    """Make server processes that start from now on load this checkpoint."""
    os.environ[f"{PREFIX}CHECKPOINT"] = name


def share_metrics(folder: Path) -> None:
    """Make server processes that start from now on share their metrics in `folder`."""
    os.environ[_METRICS_FOLDER] = str(folder)


def metrics_folder() -> Path | None:
    """Return the folder in which server processes share metrics; None for a single process."""
    folder = os.environ.get(_METRICS_FOLDER)
    return Path(folder) if folder else None


def keep_compilations(folder: Path) -> None:
    """Make torch.compile keep its results in `folder`, in this process and its children.

    The default is a predictable folder under /tmp, whose content torch would trust.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.resolve())


def quiet_ray() -> None:
    """Make Ray send no statistics, print no notes, and leave its workers' priority as it is."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves them beside other work


def gpu_environment() -> dict[str, str]:
    """Return the environment of a GPU worker: what the GPU's driver and libraries read."""
    names = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in names if name in os.environ}


def unknown_variables() -> list[str]:
    """Return a warning for each `KINOLEX_` variable that is not a setting (often a misspelling)."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return [
        f"{name} is not a setting"
        + "".join(f"; did you mean {close}?" for close in difflib.get_close_matches(name, known, 1))
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]
