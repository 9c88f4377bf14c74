"""`kinolex search` and `kinolex jobs` against a running service with keys, and what goes wrong."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.access.management import create_key
from app.main import create_app
from app.settings import Settings
from app.store.access import KeyStore, Rights
from tests.app.cli.command_line import kinolex, plain
from tests.support.clips import write_clip
from tests.support.fakes import PatientEncoder, colour_tagger
from tests.support.ports import free_port
from tests.support.servers import running_server


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_clip(path, seconds_colours=["red", "blue"])
    return path


def submit(clip: Path, address: str, *options: str) -> str:
    outcome = kinolex("jobs", "submit", clip, "--url", address, *options)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout.strip()


def test_a_video_that_a_job_kept_is_found_by_its_words(clip: Path, server: str) -> None:
    job = json.loads(
        submit(
            clip, server, "--keep", "--wait", "--labels", "red, green", "--metadata", '{"a": "[b]"}'
        )
    )
    assert job["result"]["tags"][0]["label"] == "red"

    found = kinolex("search", "blue", "--url", server, "--limit", 1)
    raw = json.loads(kinolex("search", "blue", "--url", f"{server}/", "--json").stdout)
    other = kinolex("search", "blue", "--url", server, "--metadata", '{"a": "c"}')

    assert found.exit_code == 0
    assert job["sha256"] in found.stdout
    assert "a=[b]" in found.stdout
    assert found.stderr.startswith("1 videos searched")
    assert raw["items"][0]["video"]["sha256"] == job["sha256"]
    assert other.stderr.startswith("0 videos searched")


def test_jobs_are_listed_shown_and_cancelled(
    clip: Path, make_settings: Callable[..., Settings]
) -> None:
    encoder = PatientEncoder()
    encoder.sign.set()
    encoder.stop_after = 1
    app = create_app(make_settings(), tagger=colour_tagger(encoder=encoder))
    with running_server(app) as address:
        first = submit(clip, address, "--segments", "--idempotency-key", "one")
        again = submit(clip, address, "--segments", "--idempotency-key", "one")
        second = submit(clip, address)

        cancelled = kinolex("jobs", "cancel", second, "--url", address)
        shown = json.loads(kinolex("jobs", "show", second, "--url", address).stdout)
        listed = plain(kinolex("jobs", "list", "--url", address).stdout)
        one = plain(kinolex("jobs", "list", "--url", address, "--limit", 1).stdout)
        only = plain(kinolex("jobs", "list", "--url", address, "--status", "cancelled").stdout)
        kinolex("jobs", "cancel", first, "--url", address)
        encoder.more.set()

    assert again == first
    assert cancelled.stderr == f"{second} cancelled\n"
    assert shown["status"] == "cancelled"
    assert re.findall("[0-9a-f]{32}", listed) == [second, first]
    assert re.findall("[0-9a-f]{32}", one) == [second]
    assert re.findall("[0-9a-f]{32}", only) == [second]


def test_a_job_that_fails_is_printed_and_is_exit_code_1(tmp_path: Path, server: str) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video")

    outcome = kinolex("jobs", "submit", path, "--url", server, "--wait")

    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout)["problem"]["code"] == "not_a_video"


def test_an_answer_with_a_problem_is_one_line_with_its_code(server: str) -> None:
    missing = kinolex("jobs", "show", "0" * 32, "--url", server)
    status = kinolex("jobs", "list", "--status", "done", "--url", server)

    assert (missing.exit_code, status.exit_code) == (1, 1)
    assert missing.stderr.endswith("(job_not_found)\n")
    assert missing.stderr.count("\n") == 1
    assert "status" in status.stderr
    assert not missing.stdout + status.stdout


def test_a_video_over_the_limit_is_refused_with_the_reason(
    tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(20_000_000))
    app = create_app(make_settings(max_upload_bytes=1000), tagger=colour_tagger())

    with running_server(app) as address:
        outcome = kinolex("jobs", "submit", path, "--url", address)

    assert outcome.exit_code == 1
    assert outcome.stderr.endswith("(upload_too_large)\n")


@pytest.fixture
def closed_server(make_settings: Callable[..., Settings]) -> Iterator[tuple[str, str]]:
    """The address of a service that needs a key, and a key that may classify only."""
    settings = make_settings()
    settings.data_dir.mkdir()
    store = KeyStore.open(settings.store_url)
    issued = create_key(store, "shop", Rights(frozenset({"classify"})), by=None)
    store.close()
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        yield address, issued.token.text


def test_the_key_comes_from_the_environment(
    closed_server: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, key = closed_server

    without = kinolex("jobs", "list", "--url", address)
    monkeypatch.setenv("KINOLEX_API_KEY", key)
    allowed = kinolex("jobs", "list", "--url", address)
    refused = kinolex("search", "red", "--url", address)

    assert without.stderr.endswith("(key_required)\n")
    assert allowed.exit_code == 0
    assert refused.stderr.endswith("(scope_missing)\n")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1", "127.0.0.1:8000", "", "http://127.0.0.1:port", "http://[::1",
        "http://127.0.0.1:99999", "http://.example.org", "http://127.0.0.1/two words",
    ],
)  # fmt: skip
def test_what_is_no_address_is_said(url: str) -> None:
    outcome = kinolex("jobs", "list", "--url", url)

    assert outcome.exit_code == 1
    assert outcome.stderr.endswith("(invalid_url)\n")


def test_an_address_of_ipv6_needs_no_port() -> None:
    outcome = kinolex("jobs", "list", "--url", "http://[::1]")

    assert outcome.exit_code == 1
    # the last group was taken for the port: "Name or service not known"
    assert "Name" not in outcome.stderr


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", " "])
def test_a_line_end_behind_the_key_is_not_sent(
    closed_server: tuple[str, str], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, key = closed_server
    monkeypatch.setenv("KINOLEX_API_KEY", key + end)

    assert kinolex("jobs", "list", "--url", address).exit_code == 0


@pytest.mark.parametrize("key", ["kx_“secret”", "kx_one\nkx_two", "kx_one kx_two"])
def test_a_key_that_no_header_holds_is_refused_and_not_printed(
    key: str, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINOLEX_API_KEY", key)

    outcome = kinolex("jobs", "submit", clip, "--url", f"http://127.0.0.1:{free_port()}")

    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("KINOLEX_API_KEY holds")
    assert "kx_" not in outcome.output
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)


def test_an_idempotency_key_that_no_header_holds_is_refused(clip: Path) -> None:
    outcome = kinolex("jobs", "submit", clip, "--idempotency-key", "für heute")

    assert outcome.exit_code == 1
    assert outcome.stderr.endswith("(invalid_parameter)\n")


def test_a_service_that_does_not_run_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    outcome = kinolex("search", "red", "--url", url)

    assert outcome.exit_code == 1
    assert outcome.stderr == f"{url} does not answer: Connection refused (service_unreachable)\n"
