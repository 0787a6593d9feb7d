"""Function Compute's actions on versions and aliases of functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.dispatch import Reply
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.function_compute.entities import LATEST, Alias, PublishedVersion
from local_emulator.control_plane.function_compute.functions import collect, page, stamp
from local_emulator.control_plane.function_compute.revisions import existing, existing_alias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.function_compute.entities import DeployedFunction

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_LONGEST_PAGE = 100


def publish(call: Call) -> dict[str, object]:
    """PublishFunctionVersion: keep the current configuration and code under the next number."""
    function, description = existing(call), str(call.json().get("description") or "")
    function.last_version += 1
    number = str(function.last_version)
    function.versions[number] = version = PublishedVersion(
        function.config, function.content, function.layers, function.revision, call.now, description
    )
    return _shown_version(number, version)


def list_versions(call: Call) -> dict[str, object]:
    """ListFunctionVersions, a page at a time: the newest first, or with direction FORWARD the oldest first."""
    versions = existing(call).versions
    direction = call.text("direction", "BACKWARD")
    numbers = sorted(map(int, versions), reverse=direction != "FORWARD")
    after, limit = call.text("nextToken"), call.number("limit", 20, 1, _LONGEST_PAGE)
    start = numbers.index(int(after)) if after.isdigit() and int(after) in numbers else 0
    rest = numbers[start:]
    more = {"nextToken": str(rest[limit])} if len(rest) > limit else {}
    shown = [_shown_version(str(number), versions[str(number)]) for number in rest[:limit]]
    return {"versions": shown, "direction": direction, **more}


def delete_version(call: Call) -> Reply:
    """DeleteFunctionVersion; a version that an alias names isn't deleted."""
    function, number = existing(call), call.required("version")
    if number not in function.versions:
        raise _no_version(function, number)
    users = [alias.name for alias in function.aliases.values() if number in {alias.version, *alias.weights}]
    if users:
        raise invalid_argument(f"version '{number}' is used by the alias {', '.join(users)}; change the alias first")
    del function.versions[number]
    call.surroundings.functions.runner.retire(function.name, number)
    collect(call)
    return Reply(status=204)


def create_alias(call: Call) -> dict[str, object]:
    """CreateAlias."""
    function, body = existing(call), call.json()
    name = str(body.get("aliasName"))
    if not _ALIAS.fullmatch(name) or name == LATEST:
        raise invalid_argument(
            f"aliasName: expected 1-128 letters, digits, '-', '_', no digit or '-' first, not LATEST; found {name}"
        )
    if name in function.aliases:
        raise ApiError(409, "AliasAlreadyExists", f"alias '{name}' of function '{function.name}' already exists")
    alias = Alias(name, "", {}, call.now, call.now)
    _fill(function, alias, body)
    function.aliases[name] = alias
    return _shown_alias(alias)


def update_alias(call: Call) -> dict[str, object]:
    """UpdateAlias."""
    function = existing(call)
    alias = existing_alias(function, call.required("alias"))
    _fill(function, alias, call.json())
    alias.modified = call.now
    return _shown_alias(alias)


def show_alias(call: Call) -> dict[str, object]:
    """GetAlias."""
    return _shown_alias(existing_alias(existing(call), call.required("alias")))


def list_aliases(call: Call) -> dict[str, object]:
    """ListAliases, a page at a time."""
    aliases = existing(call).aliases
    names, more = page(call, sorted(aliases))
    return {"aliases": [_shown_alias(aliases[name]) for name in names], **more}


def delete_alias(call: Call) -> Reply:
    """DeleteAlias."""
    function = existing(call)
    del function.aliases[existing_alias(function, call.required("alias")).name]
    return Reply(status=204)


def _fill(function: DeployedFunction, alias: Alias, body: Mapping[str, Any]) -> None:
    """Take an alias's parameters from a request; ApiError if a version doesn't exist, or weights aren't parts of 1."""
    version, weights = str(body.get("versionId") or alias.version), body.get("additionalVersionWeight", alias.weights)
    if not isinstance(weights, dict) or not all(
        isinstance(weight, (int, float)) and 0 <= weight <= 1 for weight in weights.values()
    ):
        raise invalid_argument(f"additionalVersionWeight: expected a number from 0 to 1 by version, found {weights!r}")
    for number in (version, *weights):
        if number not in {*function.versions, LATEST}:
            raise _no_version(function, number)
    alias.version, alias.weights = version, weights
    alias.description = str(body.get("description", alias.description) or "")


def _no_version(function: DeployedFunction, number: str) -> ApiError:
    return ApiError(404, "VersionNotFound", f"version '{number}' of function '{function.name}' does not exist")


def _shown_version(number: str, version: PublishedVersion) -> dict[str, object]:
    return {
        "versionId": number,
        "description": version.description,
        "createdTime": stamp(version.created),
        "lastModifiedTime": stamp(version.created),
    }


def _shown_alias(alias: Alias) -> dict[str, object]:
    return {
        "aliasName": alias.name,
        "versionId": alias.version,
        "description": alias.description,
        **({"additionalVersionWeight": alias.weights} if alias.weights else {}),
        "createdTime": stamp(alias.created),
        "lastModifiedTime": stamp(alias.modified),
    }
