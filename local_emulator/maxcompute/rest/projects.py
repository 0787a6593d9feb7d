"""Projects, the tenant, and other requests of clients at the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute.calendar_range import PROJECT_ZONE
from local_emulator.maxcompute.errors import invalid, missing
from local_emulator.maxcompute.keys import ACCESS, ACCOUNTS, ADDRESS, PRINCIPAL, STORE
from local_emulator.maxcompute.rest.listing import page
from local_emulator.maxcompute.rest.security import get_configuration, get_policy
from local_emulator.maxcompute.rest.xml import element, epoch, http_time, reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from local_emulator.maxcompute.entities import Project

REGION = "local"
# The properties that odpscmd and the SDKs read.
_PROPERTIES = {
    "odps.sql.type.system.odps2": "true",
    "odps.sql.timezone": PROJECT_ZONE.key,
    "odps.table.lifecycle": "optional",
    "odps.security.ip.whitelist": "",
}


def requested_project(request: web.Request, action: str = "") -> Project:
    """Return the project of a path, after a check that the sender is in the project and may do the action.

    Raises:
        ServiceError: NoSuchProject, NoPermission.
    """
    access, principal = request.app[ACCESS], request[PRINCIPAL]
    project = request.app[STORE].project(request.match_info["project"])
    access.require_member(principal, project)
    if action:
        access.require(principal, action, project)
    return project


async def host(request: web.Request) -> web.Response:
    """Return the address of the service's web pages, which the emulator doesn't have."""
    return web.Response(text=f"http://{request.app[ADDRESS]}", content_type="text/plain")


async def tenant(request: web.Request) -> web.Response:
    """Return the emulator's only account."""
    owner = request.app[ACCOUNTS].owner
    now = epoch(request.app[CLOCK].now())
    body = {
        "Name": owner.name,
        "OwnerId": owner.id,
        "TenantId": owner.id,
        "TenantState": "NORMAL",
        "CreateTime": now,
        "UpdateTime": now,
        "TenantMeta": "{}",
        "Parameters": {},
    }
    return web.json_response({"Tenant": body, **body})


async def projects(request: web.Request) -> web.Response:
    """List the projects that the sender may read."""
    wanted = request.query.get("name", "").lower()
    owner = request.query.get("owner")
    matching = [
        project
        for project in request.app[STORE].projects()
        if project.name.startswith(wanted)
        and owner in (None, project.owner)
        and request.app[ACCESS].shows(request[PRINCIPAL], project)
    ]
    chosen, marker, size = page(matching, request.query, lambda project: project.name)
    items = [_project(request, project, extended=False) for project in chosen]
    return reply(element("Projects", None, element("Marker", marker), element("MaxItems", size), *items))


async def project(request: web.Request) -> web.Response:
    """GET: a project, its policy or its security configuration; clients require the three headers."""
    project = requested_project(request)
    request.app[ACCESS].require_token(request[PRINCIPAL], "Read", project)
    headers = {
        "x-odps-owner": project.owner,
        "x-odps-creation-time": http_time(project.created),
        "Last-Modified": http_time(project.modified),
    }
    if "policy" in request.query:
        return await get_policy(request, project)
    if "security_configuration" in request.query:
        return await get_configuration(request, project)
    if "quotas" in request.query:
        raise invalid("?quotas of a project is not emulated")
    return reply(_project(request, project, extended="extended" in request.query), headers=headers)


async def tunnel_service(request: web.Request) -> web.Response:
    """``?service``: return host and port of the Tunnel endpoint."""
    requested_project(request)
    if "service" not in request.query:
        raise missing("NoSuchPath", "expected ?service")
    return web.Response(text=request.app[ADDRESS], content_type="text/plain")


async def logs(request: web.Request) -> web.Response:
    """Accept clients' reports of their use, and ignore them."""
    requested_project(request)
    return web.Response()


def _project(request: web.Request, project: Project, *, extended: bool) -> Element:
    used = sum(table.size for table in request.app[STORE].tables(project.name)) if extended else 0
    return element(
        "Project",
        None,
        element("Name", project.name),
        element("Type", "managed"),
        element("Comment", ""),
        element("Owner", project.owner),
        element("State", "AVAILABLE"),
        element("ProjectGroupName", ""),
        element("CreationTime", http_time(project.created)),
        element("LastModifiedTime", http_time(project.modified)),
        element("Properties", None, *_pairs(_PROPERTIES)),
        element("ExtendedProperties", None, *(_pairs({"usedQuotaPhysicalSize": str(used)}) if extended else [])),
        element("Clusters"),
        element("Region", REGION),
        element("TenantId", request.app[ACCOUNTS].owner.id),
    )


def _pairs(properties: Mapping[str, str]) -> list[Element]:
    return [element("Property", None, element("Name", k), element("Value", v)) for k, v in properties.items()]
