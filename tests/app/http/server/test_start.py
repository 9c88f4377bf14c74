"""No garbage is looked for while the application is loaded, and again once it serves."""

import gc
from typing import Any

import pytest

from app.http.server.process import Server, ServerConfig, Stop
from app.lifecycle.drain import Drain


class Application:
    """Does nothing, asks for a stop, and notes whether garbage is collected at start and end."""

    def __init__(self) -> None:
        self.collects: dict[str, bool] = {}
        self.server: Server | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.server is not None
        for step in ("startup", "shutdown"):
            assert await receive() == {"type": f"lifespan.{step}"}
            self.collects[step] = gc.isenabled()
            scope["state"]["drain"] = Drain()
            self.server.should_exit = True
            await send({"type": f"lifespan.{step}.complete"})


@pytest.mark.usefixtures("unfrozen")  # the server freezes objects at its end
def test_garbage_is_collected_from_the_end_of_the_start() -> None:
    application = Application()
    config = ServerConfig(application, port=0, lifespan="on", log_level="error")
    config.stop = Stop(grace_seconds=30.0, delay_seconds=0.0)
    application.server = Server(config)

    application.server.run()

    assert application.collects == {"startup": False, "shutdown": True}
