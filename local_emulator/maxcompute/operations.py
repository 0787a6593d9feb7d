"""The names of the service's operations, such as ``upload.commit``, which faults and limits use."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.rest import routes as rest
from local_emulator.maxcompute.tunnel import routes as tunnel

if TYPE_CHECKING:
    from aiohttp import web

# The variants of a REST operation, by the query's key that selects the variant; the first present key counts.
_VARIANTS = MappingProxyType(
    {
        "project.get": {"policy": "policy.get", "security_configuration": "security.get"},
        "project.put": {"policy": "policy.put", "security_configuration": "security.put"},
        "table.get": {
            "partitions": "partition.list",
            "data": "table.preview",
            "partition": "partition.get",
            "extended": "table.extended",
        },
        "instance.status": {
            "result": "instance.result",
            "source": "instance.source",
            "instancesummary": "instance.summary",
            "instanceprogress": "instance.progress",
            "detail": "instance.detail",
            "instancedetail": "instance.detail",
        },
    }
)
NAMES = tuple(
    sorted(
        {
            *rest.OPERATIONS.values(),
            *(name for variants in _VARIANTS.values() for name in variants.values()),
            *(operation.name for operation in tunnel.OPERATIONS),
        }
    )
)
# The query's keys for a session's id.
_SESSION_KEYS = ("uploadid", "downloadid", "upsertid")


def operation_name(request: web.Request) -> str:
    """Return the name of a request's operation, one of `NAMES`; empty for a path that the service doesn't have."""
    resource = request.match_info.route.resource
    if resource is None:
        return ""
    name = rest.OPERATIONS.get((request.method, resource.canonical))
    if name is not None:
        return next((variant for key, variant in _VARIANTS.get(name, {}).items() if key in request.query), name)
    operation = tunnel.matched_operation(request)
    return operation.name if operation is not None else ""


def session_id(request: web.Request) -> str:
    """Return the id of the session or instance in a request; empty if there is none."""
    for key in _SESSION_KEYS:
        if key in request.query:
            return request.query[key]
    return request.match_info.get("instance", "")
