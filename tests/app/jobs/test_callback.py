"""Addresses that callers give: which are refused, and what is sent to the others."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from app.jobs.callback import AddressRefused, CallbackFailed, check_url, post

PRIVATE = [
    "127.0.0.1",
    "127.1.2.3:8000",
    "[::1]",
    "10.0.0.1",
    "172.16.5.5",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "[fe80::1]",
    "[fc00::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
]
MALFORMED = [
    "",
    "example.org",
    "ftp://example.org/",
    "file:///etc/passwd",
    "http:///path",
    "http://user:secret@example.org/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://exam ple.org/",
    "http://example.org/\r\nx: y",
    "http://[::1",
    "http://example.org/" + "x" * 2_000,
    "http://hook..example.org/",
    "http://.example.org/",
    "http://" + "x" * 64 + ".org/",
]
LOCATIONS = {"ftp": "ftp://x/", "half": "http://[::1", "nameless": "http://hook..example.org/"}


class Receiver(BaseHTTPRequestHandler):
    """Answers by the path of the request; keeps what it was sent."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:  # the name that http.server calls
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((self.path, body))
        status, _, location = self.path.strip("/").partition("-to-")
        self.send_response(int(status))
        if location:
            elsewhere = {**LOCATIONS, "self": self.path}
            self.send_header("location", elsewhere.get(location, "/204"))
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # as in the base
        return


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.received.clear()
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("host", PRIVATE)
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    url = f"http://{host}/path"
    with pytest.raises(AddressRefused):
        check_url(url, allow_private=False)
    with pytest.raises(AddressRefused):
        post(url, {}, b"", allow_private=False)
    check_url(url, allow_private=True)


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_not_a_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, allow_private=True)


@pytest.mark.parametrize("host", ["example.org", "8.8.8.8", "example.org:8443"])
def test_a_public_address_is_accepted(host: str) -> None:
    check_url(f"https://{host}/hook?x=1", allow_private=False)


def test_a_name_of_a_private_address_is_refused_when_it_is_resolved() -> None:
    check_url("http://localhost/", allow_private=False)
    with pytest.raises(AddressRefused):
        post("http://localhost/", {}, b"", allow_private=False)


def test_the_body_arrives_and_the_status_comes_back(receiver: str) -> None:
    assert post(f"{receiver}/204", {"x": "y"}, b"hello", allow_private=True) == 204
    assert post(f"{receiver}/410", {}, b"", allow_private=True) == 410
    assert Receiver.received == [("/204", b"hello"), ("/410", b"")]


def test_a_redirect_that_keeps_the_method_is_followed_and_checked(receiver: str) -> None:
    assert post(f"{receiver}/307-to-204", {}, b"x", allow_private=True) == 204
    assert post(f"{receiver}/302-to-204", {}, b"x", allow_private=True) == 302
    for location in LOCATIONS:
        with pytest.raises(AddressRefused):
            post(f"{receiver}/308-to-{location}", {}, b"x", allow_private=True)
    with pytest.raises(CallbackFailed):
        post(f"{receiver}/307-to-self", {}, b"x", allow_private=True)


def test_a_server_that_is_not_there_fails(receiver: str) -> None:
    with pytest.raises(CallbackFailed):
        post("http://127.0.0.1:9/", {}, b"", allow_private=True)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The files of a certificate for localhost and of its key; it is trusted."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    kind = ("-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(made))
    subprocess.run([openssl, "req", *kind, *names], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return made, key


@pytest.fixture(params=["http", "https"])
def trickle(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[str]:
    """The address of a server whose headers come byte by byte and never end."""
    scheme: str = request.param
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):
            connection, _ = listening.accept()
            if scheme == "https":
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                connection.sendall(b"HTTP/1.1 204 No Content\r\nx: ")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.05)

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"{scheme}://localhost:{listening.getsockname()[1]}/"
    listening.close()
    thread.join()


def test_an_answer_that_comes_byte_by_byte_is_not_awaited_to_its_end(trickle: str) -> None:
    begun = time.monotonic()

    with suppress(CallbackFailed):  # what came so far may do for an answer
        post(trickle, {}, b"", allow_private=True, total_seconds=0.5)

    assert time.monotonic() - begun < 4
