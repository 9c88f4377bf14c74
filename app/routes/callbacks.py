"""Checks the addresses that callers want webhooks to be sent to."""

from app.errors import InvalidParameter
from app.jobs.callback import AddressRefused, check_url
from app.settings import Settings


def checked_callback(url: str, part: str, settings: Settings) -> str:
    """Return the URL, given in `part` of the request. Raises InvalidParameter."""
    if not settings.callback_secrets:
        detail = "webhooks are off: the service has no KINOLEX_CALLBACK_SECRETS"
        raise InvalidParameter.at(part, "callback_url", detail)
    try:
        check_url(url, allow_private=settings.callback_private)
    except AddressRefused as error:
        raise InvalidParameter.at(part, "callback_url", str(error)) from error
    return url
