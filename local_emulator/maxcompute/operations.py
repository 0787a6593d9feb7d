"""What a request asks for, in one word or two, such as ``upload.commit``: the names that faults and limits go by."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.rest.routes import PREFIX
from local_emulator.maxcompute.tunnel import routes as tunnel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

_PROJECT = "/projects/{project}"
_TABLE = f"{_PROJECT}/tables/{{table}}"
_INSTANCE = f"{_PROJECT}/instances/{{instance}}"
_ROLE = f"{_PROJECT}/roles/{{role}}"
# Name, method, path, and the key in the query that makes it this operation; of one method and path, the first one whose
# key is there is meant.
_REST = (
    ("host.get", "GET", "/logview/host", ""),
    ("host.get", "GET", "/webconsole/host", ""),
    ("tenant.get", "GET", "/tenants", ""),
    ("project.list", "GET", "/projects", ""),
    ("policy.get", "GET", _PROJECT, "policy"),
    ("security.get", "GET", _PROJECT, "security_configuration"),
    ("project.get", "GET", _PROJECT, ""),
    ("policy.put", "PUT", _PROJECT, "policy"),
    ("security.put", "PUT", _PROJECT, "security_configuration"),
    ("project.put", "PUT", _PROJECT, ""),
    ("tunnel.get", "GET", f"{_PROJECT}/tunnel", ""),
    ("log.put", "PUT", f"{_PROJECT}/logs", ""),
    ("table.list", "GET", f"{_PROJECT}/tables", ""),
    ("partition.list", "GET", _TABLE, "partitions"),
    ("table.preview", "GET", _TABLE, "data"),
    ("partition.get", "GET", _TABLE, "partition"),
    ("table.get", "GET", _TABLE, ""),
    ("sql", "POST", f"{_PROJECT}/instances", ""),
    ("instance.list", "GET", f"{_PROJECT}/instances", ""),
    ("instance.result", "GET", _INSTANCE, "result"),
    ("instance.source", "GET", _INSTANCE, "source"),
    ("instance.summary", "GET", _INSTANCE, "instancesummary"),
    ("instance.progress", "GET", _INSTANCE, "instanceprogress"),
    ("instance.detail", "GET", _INSTANCE, "detail"),
    ("instance.detail", "GET", _INSTANCE, "instancedetail"),
    ("instance.status", "GET", _INSTANCE, ""),
    ("instance.stop", "PUT", _INSTANCE, ""),
    ("authorization", "POST", f"{_PROJECT}/authorization", ""),
    ("authorization.status", "GET", f"{_PROJECT}/authorization/{{query}}", ""),
    ("user.list", "GET", f"{_PROJECT}/users", ""),
    ("user.get", "GET", f"{_PROJECT}/users/{{user}}", ""),
    ("role.list", "GET", f"{_PROJECT}/roles", ""),
    ("role.get", "GET", _ROLE, ""),
    ("role.put", "PUT", _ROLE, ""),
)


def _by_path() -> Mapping[tuple[str, str], tuple[tuple[str, str], ...]]:
    found: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    for name, method, path, key in _REST:
        found[method, PREFIX + path] = (*found.get((method, PREFIX + path), ()), (key, name))
    return MappingProxyType(found)


_NAMES_BY_PATH = _by_path()
NAMES = tuple(sorted({name for name, *_ in _REST} | {operation.name for operation in tunnel.OPERATIONS}))
# Where a request names the session (or the instance) that it belongs to: in the query or in the path.
_SESSION_KEYS = ("uploadid", "downloadid", "upsertid")


def name_of(request: web.Request) -> str:
    """The request's operation, one of `NAMES`; empty for a path that isn't the service's."""
    resource = request.match_info.route.resource
    if resource is None:
        return ""
    named = _NAMES_BY_PATH.get((request.method, resource.canonical))
    if named is None:
        operation = tunnel.operation_of(request)
        return operation.name if operation is not None else ""
    return next(name for key, name in named if not key or key in request.query)


def session_of(request: web.Request) -> str:
    """The id of the session or instance that the request is about; empty if it names none."""
    for key in _SESSION_KEYS:
        if key in request.query:
            return request.query[key]
    return request.match_info.get("instance", "")
