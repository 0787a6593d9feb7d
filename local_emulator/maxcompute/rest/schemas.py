"""Schemas: each project has only the schema ``default``, which paths may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.entities import DEFAULT_SCHEMA
from local_emulator.maxcompute.errors import missing
from local_emulator.maxcompute.keys import ACCESS, PRINCIPAL
from local_emulator.maxcompute.rest.projects import requested_project
from local_emulator.maxcompute.rest.xml import element, http_time, reply

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from aiohttp import web

    from local_emulator.maxcompute.entities import Project


def requested_schema(request: web.Request) -> str:
    """Return the schema that a path or the query names.

    For a project without schemas, the JDBC driver sends the project's name as schema; this means the default schema.
    """
    named = request.match_info.get("schema") or request.query.get("curr_schema") or request.query.get("schema_name")
    schema = (named or DEFAULT_SCHEMA).lower()
    return DEFAULT_SCHEMA if schema == request.match_info["project"].lower() else schema


async def schemas(request: web.Request) -> web.Response:
    """Return the list of schemas, which has only the default schema."""
    project, query = requested_project(request, "List"), request.query
    wanted = DEFAULT_SCHEMA.startswith(query.get("name", "").lower()) and query.get("owner") in (None, project.owner)
    items = [_schema(project)] if wanted else []
    return reply(element("Schemas", None, element("Marker", ""), element("MaxItems", len(items)), *items))


async def schema(request: web.Request) -> web.Response:
    """Return the default schema; ServiceError NoSuchObject for any other."""
    project = requested_project(request)
    request.app[ACCESS].require_token(request[PRINCIPAL], "Read", project)
    if requested_schema(request) != DEFAULT_SCHEMA:
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
