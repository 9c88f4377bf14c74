"""Which key each route requires: the one table of access, complete by `guards_of`.

A new route needs a line here; without one the app does not start.
"""

from app.access.rules import ANY_KEY, PAGE, PROBE, Rule

_READ = Rule("labels:read", names_set=True)
_WRITE = Rule("labels:write", names_set=True)
_VIDEO = Rule("classify", takes_video=True)
_ARCHIVE = Rule("archive")
_ADMIN = Rule("admin")

_IN_A_SET = {
    "GET /labels": _READ,
    "PUT /labels": _WRITE,
    "GET /labels/{name:path}": _READ,
    "DELETE /labels/{name:path}": _WRITE,
    "GET /labels/{name:path}/examples": _READ,
    "POST /labels/{name:path}/examples": Rule("labels:write", names_set=True, takes_video=True),
    "DELETE /labels/{name:path}/examples": _WRITE,
    "DELETE /labels/{name:path}/examples/{sha256}": _WRITE,
}


def _in_named_sets(rules: dict[str, Rule]) -> dict[str, Rule]:
    """Return the rules of the same routes under the prefix of a label set."""
    return {name.replace(" ", " /label-sets/{label_set}", 1): rule for name, rule in rules.items()}


RULES: dict[str, Rule] = {
    "GET /healthz": PROBE,
    "GET /readyz": PROBE,
    "GET /": PAGE,
    "GET /docs": PAGE,
    "MOUNT /static/swagger": PAGE,
    "MOUNT /static": PAGE,
    "GET /openapi.json": ANY_KEY,
    "GET /model": ANY_KEY,
    "GET /metrics": ANY_KEY,
    # each tool requires the scope of the route that does the same
    "POST /mcp": ANY_KEY,
    "POST /classify": _VIDEO,
    "POST /embed": _VIDEO,
    "POST /v1/embeddings": _VIDEO,
    "POST /jobs": _VIDEO,
    "GET /jobs": Rule("classify"),
    "GET /jobs/{job_id}": Rule("classify"),
    "DELETE /jobs/{job_id}": Rule("classify"),
    "GET /videos": _ARCHIVE,
    "GET /videos/{sha256}": _ARCHIVE,
    "DELETE /videos/{sha256}": _ARCHIVE,
    "POST /videos/{sha256}/classify": _ARCHIVE,
    "GET /search": _ARCHIVE,
    "POST /search": Rule("archive", takes_video=True),
    "POST /alerts": _ARCHIVE,
    "GET /alerts": _ARCHIVE,
    "GET /alerts/{alert_id}": _ARCHIVE,
    "DELETE /alerts/{alert_id}": _ARCHIVE,
    **_IN_A_SET,
    **_in_named_sets(_IN_A_SET),
    "GET /label-sets": Rule("labels:read"),
    "GET /label-sets/{label_set}": _READ,
    "PUT /label-sets/{label_set}": _WRITE,
    "DELETE /label-sets/{label_set}": _WRITE,
    "POST /keys": _ADMIN,
    "GET /keys": _ADMIN,
    "GET /keys/{key_id}": _ADMIN,
    "POST /keys/{key_id}/rotate": _ADMIN,
    "DELETE /keys/{key_id}": _ADMIN,
}
