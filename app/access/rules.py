"""What each address requires, and the match of a request to its address."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastapi.routing import RouteContext, iter_route_contexts
from starlette._utils import get_route_path  # the router's own, so that both read one path
from starlette.routing import BaseRoute
from starlette.types import Scope as RequestScope

from app.store.access import Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route requires: a key with `scope`, or any key if that is None.

    `audience` `everyone` needs no key; `browsers` needs none once there are keys, because a browser
    sends none with the first request of a page. `names_set`: the path names a label set, or means
    the default one. `takes_video`: the body may be a video.
    """

    scope: Scope | None = None
    audience: Literal["keys", "browsers", "everyone"] = "keys"
    names_set: bool = False
    takes_video: bool = False


PROBE = Rule(audience="everyone")
PAGE = Rule(audience="browsers")
ANY_KEY = Rule()


@dataclass(frozen=True, slots=True)
class Guard:
    """A route of the app with its rule; `methods` None: all, as for a mounted app."""

    name: str
    pattern: re.Pattern[str]
    methods: frozenset[str] | None
    rule: Rule


@dataclass(frozen=True, slots=True)
class Passage:
    """The rule for one request, and the parameters in its path."""

    rule: Rule
    path_params: Mapping[str, str]


def guards_of(routes: Sequence[BaseRoute], rules: Mapping[str, Rule]) -> tuple[Guard, ...]:
    """Return a guard for each route, in the router's order.

    `rules` has a rule for each `METHOD /path`, and `MOUNT /path` for a mounted app. Raises
    LookupError for a route without a rule, and for a rule without a route.
    """
    guards = [guard for route in iter_route_contexts(routes) for guard in _guards(route, rules)]
    if unused := rules.keys() - {guard.name for guard in guards}:
        raise LookupError(f"there is no route for the rules {sorted(unused)}")
    return tuple(guards)


def _guards(route: RouteContext, rules: Mapping[str, Rule]) -> Iterable[Guard]:
    for method in sorted(route.methods or {"MOUNT"}):
        # Starlette adds HEAD to the methods of a plain route
        if method == "HEAD":
            continue
        name = f"{method} {route.path}"
        if name not in rules:
            raise LookupError(f"say in app/routes/access_rules.py who may use {name}")
        is_mount = method == "MOUNT"
        methods = {method, "HEAD"} & set(route.methods or ())
        yield Guard(name, route.path_regex, None if is_mount else frozenset(methods), rules[name])


def passage(scope: RequestScope, guards: Iterable[Guard]) -> Passage:
    """Return the rule for a request, found as the router finds its route.

    An address that does not exist, or not with this method, is for any key.
    """
    path = get_route_path(scope)
    for guard in guards:
        if guard.methods is not None and scope["method"] not in guard.methods:
            continue
        if found := guard.pattern.match(path):
            return Passage(guard.rule, found.groupdict())
    return Passage(ANY_KEY, {})


def describe_rules(document: dict[str, Any], rules: Mapping[str, Rule]) -> None:
    """Add to an OpenAPI document which scope each operation requires."""
    document.setdefault("components", {})["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key: `kx_...`"}
    }
    for name, rule in rules.items():
        method, _, path = name.partition(" ")
        path = re.sub(r":path\}", "}", path)
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None and rule.audience == "keys":
            operation["security"] = [{"key": [rule.scope] if rule.scope else []}]
