"""The request handlers of download sessions on instances, for a query's result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.objects import instance_securable
from local_emulator.maxcompute.keys import ACCESS, INSTANCES, PRINCIPAL
from local_emulator.maxcompute.tunnel.answers import flag, session_answer
from local_emulator.maxcompute.tunnel.download_requests import DOWNLOADS, rows_answer
from local_emulator.maxcompute.tunnel.downloads import describe

if TYPE_CHECKING:
    from aiohttp import web

    from local_emulator.maxcompute.tunnel.downloads import DownloadSession

LIMITED_ROWS = 10_000  # rows of a session with the limit, as in ?result


async def create(request: web.Request) -> web.Response:
    """``POST ?downloads``: open a session; ServiceError InstanceTypeNotSupported for an instance without rows."""
    resource = _resource(request)
    columns, rows = request.app[INSTANCES].result(*resource)
    if flag(request, "instance_tunnel_limit_enabled"):
        rows = rows.slice(0, LIMITED_ROWS)
    return session_answer(request, describe(request.app[DOWNLOADS].open_result(resource, columns, rows)))


async def status(request: web.Request) -> web.Response:
    """``GET ?downloadid``: return a session."""
    return session_answer(request, describe(_session(request)))


async def data(request: web.Request) -> web.StreamResponse:
    """``GET ?data&downloadid&rowrange``: return rows, as records or Arrow."""
    return await rows_answer(request, _session(request), structs=True)


def _session(request: web.Request) -> DownloadSession:
    return request.app[DOWNLOADS].get(request.query["downloadid"], _resource(request))


def _resource(request: web.Request) -> tuple[str, str]:
    """Return project and id of the path's instance; ServiceError NoSuchObject or NoPermission."""
    project, instance_id = request.match_info["project"], request.match_info["instance"]
    instance = request.app[INSTANCES].get(project, instance_id)
    securable = instance_securable(instance.project, instance.id, instance.owner.name)
    request.app[ACCESS].require(request[PRINCIPAL], "Read", securable)
    return instance.project, instance.id
