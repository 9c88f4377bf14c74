"""What `/readyz` says when a part is missing, and that it recovers without a restart."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import torch
from starlette.testclient import TestClient

from app.lifecycle.drain import Drain
from app.lifecycle.folders import FolderNotUsable
from app.observe.logger import make_logger
from app.readiness import DecodingUnavailable, Readiness
from app.settings import Settings
from app.store import LabelStore
from model import CorruptVideo
from tests.support.clips import clip_bytes
from tests.support.fakes import ColourEncoder, colour_tagger
from tests.support.pools import descriptor, pool_of, until
from tests.support.servers import open_client


def wait_until_ready(client: TestClient) -> dict[str, Any]:
    while (answer := client.get("/readyz")).status_code != 200:
        pass
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture
def ready(make_settings: Callable[..., Settings]) -> Iterator[TestClient]:
    with open_client(make_settings()) as client:
        wait_until_ready(client)
        yield client


def test_a_database_that_is_gone_is_noticed_and_refused_until_it_is_back(
    ready: TestClient, tmp_path: Path
) -> None:
    file, elsewhere = tmp_path / "data" / "labels.sqlite", tmp_path / "elsewhere"
    assert ready.put("/labels", json={"labels": ["swimming"]}).status_code == 200
    file.rename(elsewhere)

    for answer in (
        ready.get("/readyz"),
        ready.put("/labels", json={"labels": ["diving"]}),
        ready.get("/labels"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "store_moved")
    assert not file.exists()

    elsewhere.rename(file)
    assert ready.get("/readyz").json() == {"status": "ok"}
    assert ready.get("/labels/swimming").status_code == 200
    assert ready.put("/labels", json={"labels": ["diving"]}).status_code == 200


class HealingEncoder(ColourEncoder):
    """A network that runs from the second attempt on."""

    def __init__(self) -> None:
        self.attempts = 0

    def features(self, pixels: torch.Tensor) -> Any:
        self.attempts += 1
        if self.attempts == 1:
            raise MemoryError
        return super().features(pixels)


def test_a_first_inference_that_fails_is_tried_again(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(log_level="error")
    with open_client(settings, tagger=colour_tagger(encoder=HealingEncoder())) as client:
        assert wait_until_ready(client) == {"status": "ok"}


def test_memory_that_cannot_be_had_is_a_503_and_not_for_good(ready: TestClient) -> None:
    video = {"file": clip_bytes()}
    assert ready.post("/classify?labels=red", files=video).status_code == 200
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # as `ulimit -v` does: less than a request needs is left
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (48 << 20), before[1]))
    try:
        answer = ready.get("/readyz")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

    assert (answer.status_code, answer.json()["code"]) == (503, "resources_exhausted")
    assert ready.get("/readyz").status_code == 200


def test_a_folder_for_uploads_that_is_gone_limits_the_service(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings = make_settings(upload_dir=uploads, upload_memory_bytes=0)
    with open_client(settings) as client:
        wait_until_ready(client)
        uploads.rmdir()

        [limitation] = client.get("/readyz").json()["limitations"]
        assert limitation["code"] == "storage_unavailable"
        answer = client.post("/classify?labels=red", files={"file": clip_bytes()})
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")

        uploads.mkdir()
        assert client.get("/readyz").json() == {"status": "ok"}
        answer = client.post("/classify?labels=red", files={"file": clip_bytes()})
        assert answer.status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_without_a_decode_process_the_service_is_not_ready(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warm = anyio.Event()
    warm.set()
    store = LabelStore.open(f"sqlite:///{tmp_path / 'labels.sqlite'}", colour_tagger())
    with closing(store), descriptor(clip_bytes()) as fd:
        async with pool_of(1) as pool:
            readiness = Readiness(
                settings=make_settings(),
                drain=Drain(),
                warm=warm,
                pool=pool,
                store=store,
                log=make_logger("error", "json"),
                max_seconds_without_worker=0.0,
            )
            assert await readiness.check() == ()

            with monkeypatch.context() as without_python:
                without_python.setattr(sys, "executable", "/nowhere/python")
                (pid,) = pool.pids
                os.kill(pid, signal.SIGKILL)
                # the job finds that the worker has ended
                job = asyncio.create_task(pool.probe(fd))
                await until(lambda: pool.seconds_without_worker)
                with pytest.raises(DecodingUnavailable):
                    await readiness.check()

            with suppress(CorruptVideo):
                await job
            await until(lambda: pool.has_idle)
            assert await readiness.check() == ()


@pytest.mark.parametrize("setting", ["data_dir", "upload_dir"])
def test_a_folder_that_cannot_be_written_is_named_at_the_start(
    setting: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings = make_settings(**{setting: tmp_path / "file"})

    with pytest.raises(FolderNotUsable, match=f"KINOLEX_{setting.upper()}"), open_client(settings):
        pass
