"""Tells whether a client is on the service's own computer."""

import ipaddress

from starlette.requests import Request

# A proxy adds these: the connection's address is then not that of the client.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


def is_local(request: Request) -> bool:
    """Whether the client connected directly and from a loopback address."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
