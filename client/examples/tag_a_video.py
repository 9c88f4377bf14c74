"""Tag a video with labels of your own: python tag_a_video.py ADDRESS VIDEO LABEL..."""

import sys

from kinolex_client import Kinolex

address, video, *labels = sys.argv[1:]
with Kinolex(address) as kinolex:
    answer = kinolex.classify(video, labels=labels, granularity="segments")
for tag in answer.tags:
    print(f"{tag.score:.2f} {tag.likelihood} {tag.label}")
for segment in answer.segments:
    print(
        f"{segment.start:.1f}-{segment.end:.1f} s: {', '.join(tag.label for tag in segment.tags)}"
    )
if answer.unknown.is_unknown:
    print("Probably none of these.")
