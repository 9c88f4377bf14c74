"""A browser, a page of a new service, and videos of colours."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.main import create_app
from model import Tagger
from tests.app.web.actions import DESK
from tests.support.browser import running_chromium
from tests.support.clips import write_clip
from tests.support.fakes import sure_tagger
from tests.support.servers import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

    from app.settings import Settings

# What the browser itself logs of an answer from 400 on, or of none: not a fault of the page.
REFUSED = "Failed to load resource: "


@pytest.fixture(scope="package")
def browser() -> "Iterator[Browser]":
    """Debian's chromium. It must end with this room: its driver leaves an event loop running in
    the thread, in which no asynchronous test can run.
    """
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture
def open_page(
    browser: "Browser", make_settings: "Callable[..., Settings]"
) -> "Iterator[Callable[..., Page]]":
    """Opens the page of a new service; afterwards nothing may have been logged in the browser or
    requested from another host.
    """
    complaints: list[str] = []
    foreign: list[str] = []

    def note_request(url: str, server: str) -> None:
        if not url.startswith((server, f"blob:{server}")):
            foreign.append(url)

    with ExitStack() as stack:

        def make(
            viewport: "ViewportSize" = DESK,
            tagger: Tagger | None = None,
            *,
            is_dark: bool = False,
            **settings: Any,
        ) -> "Page":
            app = create_app(make_settings(**settings), tagger=tagger or sure_tagger())
            server = stack.enter_context(running_server(app))
            page = browser.new_page(
                viewport=viewport, color_scheme="dark" if is_dark else "light", base_url=server
            )
            stack.callback(page.context.close)
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: note_request(request.url, server))
            page.goto("/")
            page.locator("#set option").first.wait_for(state="attached")
            return page

        yield make
    assert [message for message in complaints if REFUSED not in message] == []
    assert foreign == []


@pytest.fixture(scope="session")
def red_then_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of red, then four of blue: red is the better tag of the two."""
    path = tmp_path_factory.mktemp("page") / "red then blue.mp4"
    write_clip(path, seconds_colours=["red"] * 8 + ["blue"] * 4)
    return path


@pytest.fixture(scope="session")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of red."""
    path = tmp_path_factory.mktemp("page") / "red.mp4"
    write_clip(path, seconds_colours=["red"] * 2)
    return path


@pytest.fixture(scope="session")
def blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of blue."""
    path = tmp_path_factory.mktemp("page") / "blue.mp4"
    write_clip(path, seconds_colours=["blue"] * 2)
    return path
