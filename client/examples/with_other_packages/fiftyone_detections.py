"""Show the segments of the videos of a folder in FiftyOne as temporal detections.

python fiftyone_detections.py ADDRESS FOLDER NAME_OF_THE_DATASET [LABEL...]

A video with an answer beside it, film.tags.json for film.mp4, is not sent to the service.
"""

import json
import sys
from pathlib import Path

import fiftyone

from kinolex_client import Kinolex, answers
from kinolex_client.decoding import decode

address, folder, name, *labels = sys.argv[1:]
videos = fiftyone.Dataset.from_videos_dir(folder, name=name, persistent=True)
# the length and the number of frames, by which FiftyOne turns seconds into frames
videos.compute_metadata()
with Kinolex(address) as kinolex:
    for sample in videos.iter_samples(autosave=True, progress=True):
        saved = Path(sample.filepath).with_suffix(".tags.json")
        if saved.exists():
            answer = decode(answers.Classification, json.loads(saved.read_text(encoding="utf-8")))
        else:
            answer = kinolex.classify(
                sample.filepath, labels=labels, granularity="segments", min_score=0.1
            )
        sample["actions"] = fiftyone.TemporalDetections(
            detections=[
                fiftyone.TemporalDetection.from_timestamps(
                    [segment.start, min(segment.end, sample.metadata.duration)],
                    label=tag.label,
                    confidence=tag.score,
                    sample=sample,
                )
                for segment in answer.segments
                for tag in segment.tags
            ]
        )
print(f"{len(videos)} videos, {videos.count('actions.detections')} detections")
