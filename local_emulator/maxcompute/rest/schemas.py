"""Schemas: every project has one, ``default``; paths that name it are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.entities import DEFAULT_SCHEMA
from local_emulator.maxcompute.errors import missing
from local_emulator.maxcompute.keys import ACCESS, PRINCIPAL
from local_emulator.maxcompute.rest.projects import project_of
from local_emulator.maxcompute.rest.xml import element, http_time, reply

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from aiohttp import web

    from local_emulator.maxcompute.entities import Project


def schema_of(request: web.Request) -> str:
    """The schema that a path or the query names.

    The JDBC driver takes a project of two tiers for a schema of its own name: that is the default one.
    """
    named = request.match_info.get("schema") or request.query.get("curr_schema") or request.query.get("schema_name")
    schema = (named or DEFAULT_SCHEMA).lower()
    return DEFAULT_SCHEMA if schema == request.match_info["project"].lower() else schema


async def schemas(request: web.Request) -> web.Response:
    """The list of the one schema."""
    project, query = project_of(request, "List"), request.query
    wanted = DEFAULT_SCHEMA.startswith(query.get("name", "").lower()) and query.get("owner") in (None, project.owner)
    items = [_schema(project)] if wanted else []
    return reply(element("Schemas", None, element("Marker", ""), element("MaxItems", len(items)), *items))


async def schema(request: web.Request) -> web.Response:
    """One schema; ServiceError NoSuchObject for any but the default one."""
    project = project_of(request)
    request.app[ACCESS].require_token(request[PRINCIPAL], "Read", project)
    if schema_of(request) != DEFAULT_SCHEMA:
        raise missing("NoSuchObject", f"Schema not found - {project.name}.{request.match_info['schema']}")
    headers = {
        "x-odps-owner": project.owner,
        "x-odps-creation-time": http_time(project.created),
        "Last-Modified": http_time(project.modified),
    }
    return reply(_schema(project), headers=headers)


def _schema(project: Project) -> Element:
    return element(
        "Schema",
        None,
        element("Name", DEFAULT_SCHEMA),
        element("Owner", project.owner),
        element("Description", ""),
        element("CreateTime", http_time(project.created)),
        element("ModifyTime", http_time(project.modified)),
        element("Type", "MANAGED"),
    )
