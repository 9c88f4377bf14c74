"""The page of the API in a real browser: drawn from our own files, under its strict policy."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def page(browser: "Browser", server: str) -> "Iterator[Page]":
    """The drawn page; afterwards nothing may have been logged or requested from another host."""
    complaints: list[str] = []
    requested: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{server}/docs")
    page.locator("#operations-videos-classify").wait_for()
    yield page
    page.context.close()
    assert complaints == []
    # pictures in the style sheet are data: URLs
    assert [url for url in requested if not url.startswith((server, "data:"))] == []


@pytest.mark.browser
def test_the_reference_lists_every_operation(page: "Page") -> None:
    document = page.request.get(page.url.replace("/docs", "/openapi.json")).json()
    operations = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]

    shown = page.locator(".opblock").count()

    assert shown == len(operations) > 30


@pytest.mark.browser
def test_a_call_can_be_tried_from_the_reference(page: "Page") -> None:
    block = page.locator("#operations-system-get_model")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute", exact=True).click()

    block.locator(".live-responses-table", has_text='"id": "colours"').wait_for()
