"""Why a request is refused access."""

from app.errors import ServiceError


class KeyRequired(ServiceError):
    """The request has no API key and its client needs one."""

    code = "key_required"


class KeyNotValid(ServiceError):
    """The API key is unknown, revoked or replaced."""

    code = "key_not_valid"


class ScopeMissing(ServiceError):
    """The API key lacks the scope of the address."""

    code = "scope_missing"


class LabelSetNotAllowed(ServiceError):
    """The API key does not cover the label set."""

    code = "label_set_not_allowed"


class RightsExceeded(ServiceError):
    """A key with more rights than the one of the request cannot be made or changed with it."""

    code = "rights_exceeded"


class QuotaExceeded(ServiceError):
    """A quota of the API key is used up."""

    code = "quota_exceeded"
