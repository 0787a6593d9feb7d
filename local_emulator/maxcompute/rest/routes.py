"""The REST side's paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.rest.authorization import poll_query, submit_query
from local_emulator.maxcompute.rest.instances import instance, instances, queue, stop, submit
from local_emulator.maxcompute.rest.projects import host, logs, project, projects, tenant, tunnel_service
from local_emulator.maxcompute.rest.schemas import schema, schemas
from local_emulator.maxcompute.rest.security import put_project
from local_emulator.maxcompute.rest.tables import table, tables
from local_emulator.maxcompute.rest.users import get_role, get_user, list_roles, list_users, put_role

if TYPE_CHECKING:
    from aiohttp import web

PREFIX = "/api"
_PROJECT = "/projects/{project}"
_SCHEMA = f"{_PROJECT}/schemas/{{schema}}"
_INSTANCES = f"{_PROJECT}/instances"
_ROUTES = (
    ("GET", "/logview/host", host),
    ("GET", "/webconsole/host", host),
    ("GET", "/tenants", tenant),
    ("GET", "/projects", projects),
    ("GET", _PROJECT, project),
    ("PUT", _PROJECT, put_project),
    ("GET", f"{_PROJECT}/tunnel", tunnel_service),
    ("PUT", f"{_PROJECT}/logs", logs),
    ("GET", f"{_PROJECT}/tables", tables),
    ("GET", f"{_PROJECT}/tables/{{table}}", table),
    ("GET", f"{_PROJECT}/schemas", schemas),
    ("GET", _SCHEMA, schema),
    ("GET", f"{_SCHEMA}/tables", tables),
    ("GET", f"{_SCHEMA}/tables/{{table}}", table),
    ("POST", _INSTANCES, submit),
    ("GET", _INSTANCES, instances),
    ("GET", f"{_PROJECT}/cachedinstances", queue),
    ("GET", f"{_INSTANCES}/{{instance}}", instance),
    ("PUT", f"{_INSTANCES}/{{instance}}", stop),
    ("POST", f"{_PROJECT}/authorization", submit_query),
    ("GET", f"{_PROJECT}/authorization/{{query}}", poll_query),
    ("GET", f"{_PROJECT}/users", list_users),
    ("GET", f"{_PROJECT}/users/{{user}}", get_user),
    ("GET", f"{_PROJECT}/roles", list_roles),
    ("GET", f"{_PROJECT}/roles/{{role}}", get_role),
    ("PUT", f"{_PROJECT}/roles/{{role}}", put_role),
)


def add_routes(app: web.Application) -> None:
    """Serve everything below `PREFIX`."""
    for method, path, handler in _ROUTES:
        app.router.add_route(method, PREFIX + path, handler)
