"""Answers about one stream in other containers and codecs, and about odd files, over HTTP.

`make bench-files BENCH="CLIP FOLDER..."` starts the service with its defaults. CLIP, cut to ten
seconds of H.264, is embedded as it is, copied into eight containers and encoded in 18 other ways by
the program `ffmpeg`; printed are the cosines to its own embedding, and by how many frames the
duration and by how many percent the frame rate differ from ffprobe's. Then every file of the
folders, and every file of the folders below them, is sent to /classify: printed are the status and
code of each answer, and how many are 5xx. One JSON line last.
"""

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks.harness.servers import running
from benchmarks.speed.serving import SERVICE

_TIMEOUT_SECONDS = 120.0
CONTAINERS = ("mp4", "mov", "mkv", "ts", "flv", "avi", "3gp", "m4v")
_X264 = ("-c:v", "libx264", "-preset", "medium")
ENCODINGS: dict[str, Sequence[str]] = {
    "crf18.mp4": (*_X264, "-crf", "18"),
    "crf28.mp4": (*_X264, "-crf", "28"),
    "crf35.mp4": (*_X264, "-crf", "35"),
    "intra.mp4": (*_X264, "-g", "1"),
    "one_group.mp4": (*_X264, "-g", "9999"),
    "fragmented.mp4": (*_X264, "-movflags", "frag_keyframe+empty_moov"),
    "10bit.mkv": ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=0"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=0"),
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "1M", "-deadline", "realtime"),
    "av1.mkv": ("-c:v", "libsvtav1", "-crf", "35", "-preset", "9"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "4"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "4"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3"),
    "wmv2.wmv": ("-c:v", "wmv2", "-q:v", "4"),
    "prores.mov": ("-c:v", "prores_ks"),
    "half_size.mp4": (*_X264, "-vf", "scale=trunc(iw/4)*2:trunc(ih/4)*2"),
    "half_rate.mp4": (*_X264, "-vf", "fps=15"),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One stream in another form: cosine to the first form, errors against ffprobe's facts."""

    name: str
    cosine: float
    duration_error_frames: float
    rate_error_percent: float


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile.files", description=__doc__)
    parser.add_argument("clip", type=Path, help="a video with frames of all ten seconds")
    parser.add_argument("folders", type=Path, nargs="*", help="folders of odd files")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        running(*SERVICE, Path(scratch) / "data") as server,
        httpx2.Client(
            base_url=f"http://127.0.0.1:{server.port}", timeout=_TIMEOUT_SECONDS
        ) as client,
    ):
        server.settle()
        source = _source(options.clip, Path(scratch))
        copies = list(compared(client, source, _copies(source)))
        encoded = list(compared(client, source, _encodings(source)))
        answers = {
            str(path): _answer(client, path)
            for folder in options.folders
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    for row in (*copies, *encoded):
        print(
            f"{row.name:18} cosine {row.cosine:.5f}  duration {row.duration_error_frames:.2f} "
            f"frames off, rate {row.rate_error_percent:.2f} % off"
        )
    for name, answer in answers.items():
        print(f"{answer:28} {name}")
    print(json.dumps(summary(copies, encoded, answers)))


def summary(
    copies: Sequence[Compared], encoded: Sequence[Compared], answers: dict[str, str]
) -> dict[str, Any]:
    """Return the worst figures and how often each answer was given."""
    rows = (*copies, *encoded)
    return {
        "containers": len(copies),
        "containers_min_cosine": round(min(row.cosine for row in copies), 5),
        "encodings": len(encoded),
        "encodings_min_cosine": round(min(row.cosine for row in encoded), 4),
        "max_duration_error_frames": round(max(row.duration_error_frames for row in rows), 2),
        "max_rate_error_percent": round(max(row.rate_error_percent for row in rows), 2),
        "files": len(answers),
        "answers": dict(sorted(Counter(answers.values()).items())),
        "server_errors": sum(answer.startswith("5") for answer in answers.values()),
    }


def compared(client: httpx2.Client, source: Path, paths: Iterator[Path]) -> Iterator[Compared]:
    """Yield how the service answers about each form of `source`."""
    vector, _ = _embedded(client, source)
    for path in paths:
        other, facts = _embedded(client, path)
        duration, rate = _probed(path)
        yield Compared(
            path.name,
            float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other)),
            abs(facts["duration"] - duration) * rate,
            abs(facts["fps"] / rate - 1) * 100,
        )


def _source(clip: Path, scratch: Path) -> Path:
    path = scratch / "source.mp4"
    _ffmpeg(clip, path, "-t", "10", *_X264, "-crf", "20", "-pix_fmt", "yuv420p", "-r", "30")
    return path


def _copies(source: Path) -> Iterator[Path]:
    for container in CONTAINERS:
        path = source.with_name(f"copy.{container}")
        _ffmpeg(source, path, "-c", "copy")
        yield path


def _encodings(source: Path) -> Iterator[Path]:
    for name, arguments in ENCODINGS.items():
        path = source.with_name(name)
        _ffmpeg(source, path, *arguments)
        yield path


def _ffmpeg(source: Path, target: Path, *arguments: str) -> None:
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-an", *arguments, str(target)]
    subprocess.run(command, check=True)


def _probed(path: Path) -> tuple[float, float]:
    """Return the duration of the frames in seconds and their mean rate, by ffprobe.

    Of H.264 with B-frames in AVI, ffprobe gives the first frames late and the last no time: there
    the header's duration counts, and the number of frames.
    """
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json", "-show_entries"]
    command += ["frame=best_effort_timestamp_time,pict_type:format=duration", str(path)]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    probed = json.loads(output)
    frames = [frame for frame in probed["frames"] if frame]
    given = [frame.get("best_effort_timestamp_time") for frame in frames]
    if None in given:
        duration = float(probed["format"]["duration"])
        return duration, len(frames) / duration
    times = sorted(map(float, given))
    rate = (len(times) - 1) / (times[-1] - times[0])
    return times[-1] - times[0] + 1 / rate, rate


def _embedded(client: httpx2.Client, path: Path) -> tuple[np.ndarray[Any, np.dtype[Any]], Any]:
    with path.open("rb") as file:
        answer = client.post("/embed", files={"file": file}).raise_for_status().json()
    return np.array(answer["embeddings"][0]), answer["video"]


def _answer(client: httpx2.Client, path: Path) -> str:
    with path.open("rb") as file:
        answer = client.post("/classify", files={"file": file})
    return f"{answer.status_code} {answer.json().get('code', '')}".strip()


if __name__ == "__main__":
    main()
