"""Effect of the sampling leeway on accuracy: `python -m benchmarks.accuracy.leeway CLIPS`.

Tags real clips, once as they are and once encoded again with a keyframe every second, with frames
from the middle of each part and with frames at up to `leeway` from it. Prints how often the right
label is first, and the cosine to the embeddings of the middle frames. One JSON line last.
"""

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.segments.films import clips_by_label
from model import Label, LabelIndex, Tagger, load_checkpoint

_LEEWAYS = (0.0, 0.125, 0.25, 0.4)
_KEYFRAME_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """A clip's bytes and the label that is right."""

    label: str
    data: bytes


def measure(
    tagger: Tagger, cases: Sequence[Case], index: LabelIndex
) -> dict[str, dict[str, float]]:
    """By leeway: `top1` (0..1, mean over clips) and `cosine` to the embeddings without leeway."""
    found: dict[str, dict[str, float]] = {}
    middles: NDArray[np.float32] | None = None
    for leeway in _LEEWAYS:
        shifted = replace(tagger, sampling=replace(tagger.sampling, leeway=leeway))
        embeddings = np.stack([shifted.embed(io.BytesIO(case.data))[1] for case in cases])
        hits = index.search(embeddings, 1)
        right = [of[0].name == case.label for of, case in zip(hits, cases, strict=True)]
        middles = embeddings if middles is None else middles
        cosine = (embeddings * middles).sum(axis=1)
        found[f"{leeway:g}"] = {
            "top1": float(np.mean(right)),
            "cosine": float(cosine.mean()),
            "min_cosine": float(cosine.min()),
        }
    return found


def encoded_again(data: bytes) -> bytes:
    """Encode the same pictures as H.264 with a keyframe every second."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as given, av.open(buffer, "w", format="mp4") as output:
        source = given.streams.video[0]
        rate = source.average_rate or 15
        options = {"preset": "veryfast", "g": f"{round(float(rate) * _KEYFRAME_SECONDS)}"}
        stream = output.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = source.width // 2 * 2, source.height // 2 * 2
        stream.pix_fmt = "yuv420p"
        for frame in given.decode(source):
            output.mux(stream.encode(frame.reformat(stream.width, stream.height, "yuv420p")))
        output.mux(stream.encode())
    return buffer.getvalue()


def _cases(folder: Path, max_clips: int) -> Iterator[Case]:
    for label, paths in sorted(clips_by_label(folder).items()):
        for path in sorted(paths)[:max_clips]:
            yield Case(label, path.read_bytes())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.leeway", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="folder with manifest.csv and clips")
    parser.add_argument(
        "--max-clips", type=int, default=4, help="maximum number of clips of a label"
    )
    given = parser.parse_args()
    tagger = load_checkpoint()
    cases = list(_cases(given.folder, given.max_clips))
    index = tagger.index([Label(label) for label in sorted({case.label for case in cases})])
    short = [replace(case, data=encoded_again(case.data)) for case in cases]
    figures = {
        "clips": len(cases),
        "labels": len(index),
        "as they are": measure(tagger, cases, index),
        "a keyframe every second": measure(tagger, short, index),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
