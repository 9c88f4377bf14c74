"""Work in the background goes on after an error, and requests are answered meanwhile."""

import time
from collections.abc import Callable

import anyio
import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs

from app.lifecycle.background import keep_running
from app.settings import Settings
from app.store.database import writing
from app.store.jobs import NewWebhook, queue
from tests.support.clips import clip_bytes
from tests.support.servers import open_client


def test_work_that_fails_is_logged_and_runs_again() -> None:
    runs: list[anyio.CancelScope] = []

    async def run() -> None:
        with anyio.CancelScope() as scope:

            async def work() -> None:
                runs.append(scope)
                if len(runs) == 1:
                    raise ZeroDivisionError("by nothing")
                scope.cancel()

            await keep_running("counting", work, structlog.get_logger())

    with capture_logs() as logged:
        anyio.run(run)

    assert len(runs) == 2
    [failure] = logged
    assert (failure["event"], failure["log_level"]) == ("background_failed", "error")
    assert failure["task"] == "counting"


def test_requests_are_answered_after_work_in_the_background_failed(
    make_settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(callback_secrets=(b"0" * 24,))
    with open_client(settings) as client:
        with writing(client.app_state["store"].engine) as connection:
            queue(connection, [NewWebhook("msg_0", "http://127.0.0.1:9/", "{}")])
            # a row that cannot be read
            connection.execute(text("UPDATE webhooks SET created_at = 'never'"))
        logged = ""
        while "background_failed" not in logged:
            time.sleep(0.05)
            logged += capsys.readouterr().err

        answer = client.post(
            "/classify", content=clip_bytes(), headers={"Content-Type": "video/mp4"}
        )

        assert answer.status_code == 200, answer.text
        assert client.get("/readyz").status_code == 200
