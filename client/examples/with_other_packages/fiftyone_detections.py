"""Tag the videos of a folder and show the segments in FiftyOne as temporal detections.

python fiftyone_detections.py ADDRESS FOLDER NAME_OF_THE_DATASET
"""

import sys

import fiftyone

from kinolex_client import Kinolex

address, folder, name = sys.argv[1:]
videos = fiftyone.Dataset.from_videos_dir(folder, name=name, persistent=True)
# the length and the frame rate, by which FiftyOne turns seconds into frames
videos.compute_metadata()
with Kinolex(address) as kinolex:
    for sample in videos.iter_samples(autosave=True, progress=True):
        answer = kinolex.classify(sample.filepath, granularity="segments", min_score=0.1)
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
