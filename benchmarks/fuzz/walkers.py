"""Fuzz what reads containers in Python with atheris, guided by coverage: `make fuzz-walkers`.

Options are those of libFuzzer, such as `-runs=100000`. The inputs begin with the seeds of
`make fuzz`. A reader that raises anything but a refusal, or works for over 2 s, ends the run,
and its input is kept as `crash-*` or `timeout-*`.
"""

import importlib
import io
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

_READERS = (
    "model.video.containers.checks",
    "model.video.pictures.gif",
    "model.video.pictures.webp",
    "model.video.recognition.file_types",
    "model.video.recognition.truncation",
)
_OPTIONS = ("-max_len=100000", "-timeout=2", "-rss_limit_mb=1500")


def main() -> None:
    """Fuzz until the runs are done; atheris ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["model.video"]):
        checks, gif, webp, file_types, truncation = map(importlib.import_module, _READERS)
    errors = importlib.import_module("model.errors")
    views = importlib.import_module("model.video.file_view")
    limits = importlib.import_module("model.video.values").VideoLimits()

    def read(data: bytes) -> None:
        file = io.BytesIO(data)
        with suppress(errors.VideoError):
            checks.check_container(file)
        with suppress(errors.VideoError):
            webp.read_webp(views.FileView(file), limits, "a picture")
        gif.with_shown_delays(file)
        file_types.may_move(file, data[:512])
        file_types.has_encrypted_track(file)
        truncation.is_cut_short(views.FileView(file), len(data))

    with TemporaryDirectory() as folder:
        _write_corpus(Path(folder))
        atheris.Setup([sys.argv[0], folder, *_OPTIONS, *sys.argv[1:]], read)
        atheris.Fuzz()


def _write_corpus(folder: Path) -> None:
    seeds = importlib.import_module("benchmarks.fuzz.seeds").seed_videos()
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
