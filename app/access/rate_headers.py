"""The fields RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11)."""

from collections.abc import Sequence

from app.access.quotas import QuotaState


def rate_headers(states: Sequence[QuotaState]) -> list[tuple[bytes, bytes]]:
    """Return the fields for the quotas of a key; none if it has no quota."""
    if not states:
        return []
    policy = ", ".join(
        f'"{state.quota.name}";q={state.quota.limit};w={state.quota.seconds}' for state in states
    )
    limits = ", ".join(
        f'"{state.quota.name}";r={state.left};t={state.reset_seconds}' for state in states
    )
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", limits.encode())]
