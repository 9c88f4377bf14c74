"""A backend that proposes segments to Label Studio: python label_studio_backend.py ADDRESS PORT

The labeling configuration has a <Video> and <TimelineLabels>; the labels of the configuration are
those that are searched. Videos are read from where Label Studio says, with LABEL_STUDIO_API_KEY.
"""

import os
import sys
from itertools import count
from urllib.parse import urljoin

import httpx2
import uvicorn
from label_studio_sdk.label_interface import LabelInterface
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kinolex_client import AsyncKinolex, answers

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])
LABEL_STUDIO = os.environ.get("LABEL_STUDIO_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("LABEL_STUDIO_API_KEY", "")


async def healthy(request: Request) -> JSONResponse:
    """Say that the backend is there, as Label Studio asks before it adds one."""
    return JSONResponse({"status": "UP", "model_class": "Kinolex"})


async def predict(request: Request) -> JSONResponse:
    """Propose segments for each task."""
    asked = await request.json()
    interface = LabelInterface(asked["label_config"])
    timeline = next(each for each in interface.controls if each.tag == "TimelineLabels")
    field = timeline.objects[0].value_name
    results = []
    async with AsyncKinolex(ADDRESS) as kinolex, httpx2.AsyncClient(timeout=60) as http:
        for task in asked["tasks"]:
            url = urljoin(LABEL_STUDIO, task["data"][field])
            # no other address gets the key
            ours = KEY and url.startswith(f"{LABEL_STUDIO}/")
            headers = {"Authorization": f"Token {KEY}"} if ours else {}
            video = await http.get(url, headers=headers)
            answer = await kinolex.classify(
                video.raise_for_status().content,
                labels=list(timeline.labels),
                granularity="segments",
                min_score=0.1,
            )
            regions = proposed(answer, timeline.name, timeline.to_name[0])
            score = max((tag.score for tag in answer.tags), default=0.0)
            results.append(
                {"result": regions, "score": score, "model_version": answer.model.revision}
            )
    return JSONResponse({"results": results})


def proposed(answer: answers.Classification, control: str, target: str) -> list[dict[str, object]]:
    """Return regions: Label Studio counts frames from 1, at the frame rate of the video."""
    rate, ids = answer.video.fps, count(1)
    return [
        {
            "id": f"kinolex-{next(ids)}",
            "from_name": control,
            "to_name": target,
            "type": "timelinelabels",
            "score": tag.score,
            "value": {
                "ranges": [
                    {"start": round(segment.start * rate) + 1, "end": round(segment.end * rate)}
                ],
                "timelinelabels": [tag.label],
            },
        }
        for segment in answer.segments
        for tag in segment.tags
    ]


app = Starlette(
    routes=[
        Route("/health", healthy),
        Route("/setup", healthy, methods=["POST"]),
        Route("/predict", predict, methods=["POST"]),
    ]
)
uvicorn.run(app, host="127.0.0.1", port=PORT)
