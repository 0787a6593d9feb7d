"""The requests of download sessions on instances: what a query gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.objects import of_instance
from local_emulator.maxcompute.keys import ACCESS, INSTANCES, PRINCIPAL
from local_emulator.maxcompute.tunnel.answers import flag, session_answer
from local_emulator.maxcompute.tunnel.download_requests import DOWNLOADS, rows_answer
from local_emulator.maxcompute.tunnel.downloads import describe

if TYPE_CHECKING:
    from aiohttp import web

    from local_emulator.maxcompute.tunnel.downloads import DownloadSession

LIMITED_ROWS = 10_000  # of a session that asks for the limit, as of ?result


async def create(request: web.Request) -> web.Response:
    """``POST ?downloads``: a new session; ServiceError InstanceTypeNotSupported for what has no rows."""
    resource = _resource(request)
    columns, rows = request.app[INSTANCES].result(*resource)
    if flag(request, "instance_tunnel_limit_enabled"):
        rows = rows.slice(0, LIMITED_ROWS)
    return session_answer(request, describe(request.app[DOWNLOADS].open_result(resource, columns, rows)))


async def status(request: web.Request) -> web.Response:
    """``GET ?downloadid``: a session as it was opened."""
    return session_answer(request, describe(_session(request)))


async def data(request: web.Request) -> web.StreamResponse:
    """``GET ?data&downloadid&rowrange``: rows, as records or Arrow."""
    return await rows_answer(request, _session(request), structs=True)


def _session(request: web.Request) -> DownloadSession:
    return request.app[DOWNLOADS].get(request.query["downloadid"], _resource(request))


def _resource(request: web.Request) -> tuple[str, str]:
    """Project and id of the instance that the path names; ServiceError NoSuchObject or NoPermission."""
    project, instance_id = request.match_info["project"], request.match_info["instance"]
    found = request.app[INSTANCES].get(project, instance_id)
    securable = of_instance(found.project, found.id, found.owner.name)
    request.app[ACCESS].require(request[PRINCIPAL], "Read", securable)
    return found.project, found.id
