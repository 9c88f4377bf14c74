"""Posts to an address that a caller gave, and to no private one.

The host name is resolved once, every address it has must be public, and the connection goes to one
of these addresses: a second look-up could give another one (DNS rebinding). A redirect is checked
in the same way.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, urljoin, urlsplit

from app.errors import ServiceError

MAX_URL = 2_000
_MAX_REDIRECTS = 3
_CONNECT_SECONDS = 5.0
# For the whole exchange: a server may send its answer byte by byte.
_TOTAL_SECONDS = 15.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(ServiceError):
    """The URL cannot be called back: its form, or an address that is not public."""

    code = "callback_refused"


class CallbackFailed(ServiceError):
    """The address did not answer."""

    code = "callback_failed"


def check_url(url: str, *, allow_private: bool) -> None:
    """Check what can be known without a look-up. Raises AddressRefused."""
    parts = _split(url)
    assert parts.hostname is not None
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    if not allow_private and not _is_public(address):
        raise AddressRefused(f"{address} is not a public address")


def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    allow_private: bool,
    total_seconds: float = _TOTAL_SECONDS,
) -> int:
    """Post a body and return the status of the answer, whose content is not read.

    Blocks for up to `total_seconds` for each of up to three redirects, without the time of the
    look-ups. Raises AddressRefused, CallbackFailed.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        parts = _split(url)
        status, location = _exchange(parts, headers, body, allow_private, total_seconds)
        # 301 to 303 would turn the POST into a GET, without the body
        if status not in (307, 308) or not location:
            return status
        url = _joined(url, location)
    raise CallbackFailed(f"more than {_MAX_REDIRECTS} redirects")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise AddressRefused(f"the redirect is not to a URL: {error}") from error


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"not a URL: {error}") from error
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused(f"a URL has up to {MAX_URL} ASCII characters without spaces")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise AddressRefused("the URL must be of the form https://host/path")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL must not contain a user name or a password")
    try:
        # as a look-up does, which raises no OSError for such a name
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise AddressRefused(
            "a part of the host name is empty or has over 63 characters"
        ) from error
    return parts


def _exchange(
    parts: SplitResult,
    headers: Mapping[str, str],
    body: bytes,
    allow_private: bool,
    total_seconds: float,
) -> tuple[int, str | None]:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(host, port)
    try:
        address = _resolved(host, port, allow_private)
        with (
            socket.create_connection(address, _CONNECT_SECONDS) as stream,
            _ended_after(total_seconds, stream),
        ):
            connection.sock = stream
            if parts.scheme == "https":
                context = ssl.create_default_context()
                connection.sock = context.wrap_socket(stream, server_hostname=host)
            connection.request("POST", target, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheader("location")
    except (OSError, http.client.HTTPException) as error:
        raise CallbackFailed(f"no answer from {host}: {error}") from error
    finally:
        connection.close()


@contextmanager
def _ended_after(seconds: float, stream: socket.socket) -> Generator[None]:
    """Shut the connection down if the block takes longer."""
    # TLS takes the descriptor of `stream` over: this one stays
    with stream.dup() as connection:
        ending = threading.Timer(seconds, _shut_down, (connection,))
        ending.start()
        try:
            yield
        finally:
            ending.cancel()


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _resolved(host: str, port: int, allow_private: bool) -> tuple[str, int]:
    """Return the first address of a host; all of them must be public unless `allow_private`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    for address in addresses:
        if not allow_private and not _is_public(ipaddress.ip_address(address)):
            raise AddressRefused(f"{host} has the address {address}, which is not public")
    return addresses[0], port


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast
