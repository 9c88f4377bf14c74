"""Every answer tells browsers to load nothing from elsewhere and not to frame it."""

import re

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/static/scripts/page.js", "/labels", "/nowhere", "/healthz", "/openapi.json"],
)
def test_an_answer_has_a_policy_without_other_hosts(path: str, shared_client: TestClient) -> None:
    headers = shared_client.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
