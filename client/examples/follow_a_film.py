"""Tag a film by a job, and another by events: python follow_a_film.py ADDRESS VIDEO"""

import sys

from kinolex_client import Kinolex, answers

address, video = sys.argv[1:]
with Kinolex(address) as kinolex:
    for event in kinolex.classify_events(video, granularity="segments"):
        if isinstance(event, answers.Progress):
            print(f"{event.done} of {event.total} windows")
        else:
            print(f"{len(event.segments)} segments")

    job = kinolex.create_job(video, granularity="segments")
    result = kinolex.wait_for_job(job.id, timeout_seconds=3600)
    print(f"job: {len(result.segments)} segments")
