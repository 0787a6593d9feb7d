"""Tunnel's paths: one path serves many operations, which differ in the method and the query's keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from aiohttp import web

from local_emulator.foundation.clock import CLOCK
from local_emulator.foundation.injection import drain
from local_emulator.maxcompute.access.permissions import AccessDeniedError
from local_emulator.maxcompute.keys import ACCESS, DATA_DIR, PRINCIPAL, STORE
from local_emulator.maxcompute.tunnel import (
    download_requests,
    result_requests,
    stream_requests,
    upload_requests,
    upsert_requests,
)
from local_emulator.maxcompute.tunnel.answers import flag, requested_table
from local_emulator.maxcompute.tunnel.download_requests import DOWNLOADS
from local_emulator.maxcompute.tunnel.downloads import Downloads
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.stream_requests import STREAMS
from local_emulator.maxcompute.tunnel.streams import Streams
from local_emulator.maxcompute.tunnel.upload_requests import UPLOADS
from local_emulator.maxcompute.tunnel.uploads import Uploads
from local_emulator.maxcompute.tunnel.upsert_requests import UPSERTS
from local_emulator.maxcompute.tunnel.upserts import Upserts

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TABLES = ("/projects/{project}/tables/{table}", "/projects/{project}/schemas/{schema}/tables/{table}")
_INSTANCE = "/projects/{project}/instances/{instance}"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: a method with certain keys in the query, and the handler."""

    name: str
    method: str
    keys: frozenset[str]
    handler: Handler


def _operation(name: str, method: str, keys: str, handler: Handler) -> Operation:
    return Operation(name, method, frozenset(keys.split()), handler)


# A request's operation is the first one with the request's method whose keys are all in the query.
_TABLE_OPERATIONS = (
    _operation("upload.create", "POST", "uploads", upload_requests.create),
    _operation("upload.commit", "POST", "uploadid", upload_requests.commit),
    _operation("upload.block", "PUT", "uploadid blockid", upload_requests.put_block),
    _operation("upload.status", "GET", "uploadid", upload_requests.status),
    _operation("download.create", "POST", "downloads", download_requests.create),
    _operation("download.data", "GET", "data downloadid", download_requests.data),
    _operation("download.status", "GET", "downloadid", download_requests.status),
)
_RESULT_OPERATIONS = (
    _operation("result.create", "POST", "downloads", result_requests.create),
    _operation("result.data", "GET", "data downloadid", result_requests.data),
    _operation("result.status", "GET", "downloadid", result_requests.status),
)
_STREAM_OPERATIONS = (
    _operation("stream.write", "PUT", "uploadid slotid", stream_requests.write),
    _operation("stream.abort", "POST", "uploadid", stream_requests.abort),
    _operation("stream.create", "POST", "", stream_requests.create),
    _operation("stream.status", "GET", "uploadid", stream_requests.status),
)
_UPSERT_OPERATIONS = (
    _operation("upsert.write", "PUT", "upsertid bucketid slotid", upsert_requests.write),
    _operation("upsert.commit", "POST", "upsertid", upsert_requests.commit),
    _operation("upsert.abort", "DELETE", "upsertid", upsert_requests.abort),
    _operation("upsert.create", "POST", "", upsert_requests.create),
    _operation("upsert.status", "GET", "upsertid", upsert_requests.status),
)
# The required permission on the table, by the first word of an operation's name.
_ACTIONS = MappingProxyType(
    {"upload": "Update", "stream": "Update", "upsert": "Update", "download": "Select", "preview": "Select"}
)
# The flags that create missing partitions.
_MAKING = ("create_partition", "dynamic_partition")
_PREVIEW_OPERATIONS = (_operation("preview", "GET", "", download_requests.preview),)


# The operations of each path.
_OPERATIONS = MappingProxyType(
    {
        **dict.fromkeys(_TABLES, _TABLE_OPERATIONS),
        **{f"{path}/preview": _PREVIEW_OPERATIONS for path in _TABLES},
        **{f"{path}/streams": _STREAM_OPERATIONS for path in _TABLES},
        **{f"{path}/upserts": _UPSERT_OPERATIONS for path in _TABLES},
        _INSTANCE: _RESULT_OPERATIONS,
    }
)
OPERATIONS = (*_TABLE_OPERATIONS, *_PREVIEW_OPERATIONS, *_STREAM_OPERATIONS, *_UPSERT_OPERATIONS, *_RESULT_OPERATIONS)


def add_routes(app: web.Application) -> None:
    """Serve the Tunnel paths, below ``/projects``."""
    app[UPLOADS] = Uploads(app[STORE], app[CLOCK].now, app[DATA_DIR])
    app[DOWNLOADS] = Downloads(app[STORE], app[CLOCK].now)
    app[STREAMS] = Streams(app[STORE], app[CLOCK].now)
    app[UPSERTS] = Upserts(app[STORE], app[CLOCK].now, app[DATA_DIR])
    app.on_cleanup.append(_close)
    for path in _OPERATIONS:
        app.router.add_route("*", path, _dispatch)


def matched_operation(request: web.Request) -> Operation | None:
    """Return a request's operation, or None if it isn't an operation of Tunnel."""
    resource = request.match_info.route.resource
    for operation in _OPERATIONS.get(resource.canonical, ()) if resource is not None else ():
        if operation.method == request.method and operation.keys <= request.query.keys():
            return operation
    return None


async def _dispatch(request: web.Request) -> web.StreamResponse:
    operation = matched_operation(request)
    if operation is None:
        keys = ", ".join(sorted(request.query)) or "none"
        raise tunnel_error("MethodNotAllowed", f"{request.method} with query keys {keys} is not emulated.")
    if "table" in request.match_info:  # the handlers for instances check their permission
        await _require(request, operation)
    return await operation.handler(request)


async def _require(request: web.Request, operation: Operation) -> None:
    """Raise ServiceError NoPermission unless the sender may do the operation on the table."""
    table, access, principal = requested_table(request), request.app[ACCESS], request[PRINCIPAL]
    try:
        access.require(principal, _ACTIONS[operation.name.partition(".")[0]], table)
        if table.partition_columns and any(flag(request, name) for name in _MAKING):
            access.require(principal, "Alter", table)
    except AccessDeniedError:
        await drain(request)
        raise


async def _close(app: web.Application) -> None:
    app[DOWNLOADS].close()
    app[UPLOADS].close()
    app[UPSERTS].close()
