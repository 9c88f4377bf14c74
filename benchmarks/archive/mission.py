"""The mission: an action that nobody trained is added later, and found in what was kept.

Real clips are kept; then the action of each is put as a label, and searched for.
"""

import csv
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.labels.service import Service, served

_CLIPS = 20


def measure(folder: Path, videos: Path) -> dict[str, Any]:
    """Keep 20 clips of a manifest whose actions the service does not know, and ask for each.

    An action is "named first" if it is the first of all labels of its clip, and "scored highest" if
    no other clip has a higher score when it is asked alone, which is what a search compares.
    """
    with served(folder) as service:
        known = {each["name"] for each in _labels(service)}
        clips = _unknown_actions(videos, known)
        sha256s = {
            action: service.classify(path.read_bytes(), keep="true")["video"]["sha256"]
            for action, path in clips.items()
        }
        first = named = missed = highest = differing = 0
        for action, sha256 in sha256s.items():
            service.put([action])
            is_named = _best_tag(service, sha256) == action
            found = _first_found(service, action)
            is_first = found == sha256
            best = _highest_scored(service, list(sha256s.values()), action)
            highest += best == sha256
            differing += best != found
            first += is_first
            named += is_named
            missed += is_named and not is_first
    return {
        "mission_clips": len(clips),
        "mission_found_first": first,
        "mission_named_first": named,
        "mission_named_but_not_found_first": missed,
        "mission_scored_highest": highest,
        "mission_search_and_classify_differ": differing,
    }


def _labels(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        status, body = service.ask("GET", f"/labels?page_size=100&page_token={token}")
        if status != 200:
            raise RuntimeError(f"the labels were answered with {status}")
        page = json.loads(body)
        found += page["items"]
        token = page["next_page_token"]
        if not token:
            return found


def _unknown_actions(videos: Path, known: set[str]) -> dict[str, Path]:
    """Return clips of actions that occur once in the validation clips, spread over the manifest."""
    with (videos / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"]
    actions = [row["label"] for row in rows]
    clips = {
        row["label"]: videos / row["path"]
        for row in rows
        if row["label"] not in known and actions.count(row["label"]) == 1
    }
    step = len(clips) // _CLIPS
    return dict(list(clips.items())[:: max(1, step)][:_CLIPS])


def _best_tag(service: Service, sha256: str) -> str | None:
    tags = _tags(service, sha256, {"top_k": 1})
    return tags[0]["label"] if tags else None


def _highest_scored(service: Service, sha256s: list[str], action: str) -> str:
    def score(sha256: str) -> float:
        return max(
            (each["score"] for each in _tags(service, sha256, {"labels": [action]})), default=0.0
        )

    return max(sha256s, key=score)


def _tags(service: Service, sha256: str, question: dict[str, Any]) -> list[dict[str, Any]]:
    body = json.dumps({"granularity": "segments", **question}).encode()
    status, answer = service.ask("POST", f"/videos/{sha256}/classify", body, "application/json")
    if status != 200:
        raise RuntimeError(f"the kept video was answered with {status}: {answer[:300]!r}")
    found: list[dict[str, Any]] = json.loads(answer)["tags"]
    return found


def _first_found(service: Service, words: str) -> str | None:
    status, answer = service.ask("GET", f"/search?page_size=1&q={quote(words)}")
    if status != 200:
        raise RuntimeError(f"the search was answered with {status}: {answer[:300]!r}")
    items = json.loads(answer)["items"]
    return items[0]["video"]["sha256"] if items else None
