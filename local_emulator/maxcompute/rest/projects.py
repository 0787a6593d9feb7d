"""Projects, the tenant, and what else clients ask for at the root."""

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
# What odpscmd and the SDKs look at.
_PROPERTIES = {
    "odps.sql.type.system.odps2": "true",
    "odps.sql.timezone": PROJECT_ZONE.key,
    "odps.table.lifecycle": "optional",
    "odps.security.ip.whitelist": "",
}


def project_of(request: web.Request, action: str = "") -> Project:
    """The project of a path, for who is in it, and may do that with it.

    Raises:
        ServiceError: NoSuchProject, NoPermission.
    """
    access, principal = request.app[ACCESS], request[PRINCIPAL]
    found = request.app[STORE].project(request.match_info["project"])
    access.require_member(principal, found)
    if action:
        access.require(principal, action, found)
    return found


async def host(request: web.Request) -> web.Response:
    """Where logview would be."""
    return web.Response(text=f"http://{request.app[ADDRESS]}", content_type="text/plain")


async def tenant(request: web.Request) -> web.Response:
    """The one account that the emulator has."""
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
    """The list of projects that the caller is in."""
    wanted = request.query.get("name", "").lower()
    owner = request.query.get("owner")
    found = [
        project
        for project in request.app[STORE].projects()
        if project.name.startswith(wanted)
        and owner in (None, project.owner)
        and request.app[ACCESS].shows(request[PRINCIPAL], project)
    ]
    chosen, marker, size = page(found, request.query, lambda project: project.name)
    items = [_project(request, project, extended=False) for project in chosen]
    return reply(element("Projects", None, element("Marker", marker), element("MaxItems", size), *items))


async def project(request: web.Request) -> web.Response:
    """One project; clients can't do without the three headers."""
    found = project_of(request)
    request.app[ACCESS].require_token(request[PRINCIPAL], "Read", found)
    headers = {
        "x-odps-owner": found.owner,
        "x-odps-creation-time": http_time(found.created),
        "Last-Modified": http_time(found.modified),
    }
    if "policy" in request.query:
        return await get_policy(request, found)
    if "security_configuration" in request.query:
        return await get_configuration(request, found)
    if "quotas" in request.query:
        raise invalid("?quotas of a project is not emulated")
    return reply(_project(request, found, extended="extended" in request.query), headers=headers)


async def tunnel_service(request: web.Request) -> web.Response:
    """``?service``: host and port of the Tunnel endpoint."""
    project_of(request)
    if "service" not in request.query:
        raise missing("NoSuchPath", "expected ?service")
    return web.Response(text=request.app[ADDRESS], content_type="text/plain")


async def logs(request: web.Request) -> web.Response:
    """What clients tell about their own use; nobody reads it here."""
    project_of(request)
    return web.Response()


def _project(request: web.Request, found: Project, *, extended: bool) -> Element:
    used = sum(table.size for table in request.app[STORE].tables(found.name)) if extended else 0
    return element(
        "Project",
        None,
        element("Name", found.name),
        element("Type", "managed"),
        element("Comment", ""),
        element("Owner", found.owner),
        element("State", "AVAILABLE"),
        element("ProjectGroupName", ""),
        element("CreationTime", http_time(found.created)),
        element("LastModifiedTime", http_time(found.modified)),
        element("Properties", None, *_pairs(_PROPERTIES)),
        element("ExtendedProperties", None, *(_pairs({"usedQuotaPhysicalSize": str(used)}) if extended else [])),
        element("Clusters"),
        element("Region", REGION),
        element("TenantId", request.app[ACCOUNTS].owner.id),
    )


def _pairs(properties: Mapping[str, str]) -> list[Element]:
    return [element("Property", None, element("Name", k), element("Value", v)) for k, v in properties.items()]
