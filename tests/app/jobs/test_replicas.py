"""Replicas on one PostgreSQL share jobs and kept videos, and finish the jobs of one that dies."""

import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.app.test_replicas import Replicas
from tests.support.clips import clip_bytes
from tests.support.databases import new_database

CLIP = clip_bytes(seconds_colours=["red"] * 4 + ["blue"] * 4)
VIDEO = {"Content-Type": "video/mp4"}

pytestmark = [pytest.mark.postgres, pytest.mark.slow]  # starts three services


@pytest.fixture(scope="module")
def replicas(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    replicas = Replicas(new_database(postgres_server), tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


def test_a_video_kept_by_one_replica_is_found_by_the_others(replicas: Replicas) -> None:
    one, other, _ = replicas.addresses
    kept = httpx2.post(
        f"{one}/classify", content=CLIP, params={"keep": "true"}, headers=VIDEO, timeout=60
    ).json()
    sha256 = kept["video"]["sha256"]

    answer = httpx2.post(f"{other}/videos/{sha256}/classify", json={}, timeout=60).json()
    found = httpx2.get(f"{other}/search", params={"q": "blue"}, timeout=60).json()

    assert answer["tags"] == kept["tags"]
    assert found["items"][0]["video"]["sha256"] == sha256
    assert httpx2.delete(f"{other}/videos/{sha256}", timeout=60).is_success
    assert httpx2.get(f"{one}/search", params={"q": "blue"}, timeout=60).json()["items"] == []


def test_the_jobs_of_a_replica_that_dies_are_finished_by_the_others(replicas: Replicas) -> None:
    dying, other, _ = replicas.addresses
    params = {"labels": "red,blue", "granularity": "segments"}
    made = [
        httpx2.post(f"{dying}/jobs", content=CLIP, params=params, headers=VIDEO, timeout=60).json()
        for _ in range(10)
    ]
    replicas.kill_and_restart(0)

    unfinished = {job["id"] for job in made}
    while unfinished:
        states = {
            job: httpx2.get(f"{other}/jobs/{job}", timeout=60).json()["status"]
            for job in unfinished
        }
        assert set(states.values()) <= {"queued", "running", "succeeded"}
        unfinished = {job for job, status in states.items() if status != "succeeded"}
        time.sleep(0.2)
