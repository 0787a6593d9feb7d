"""The paths of the REST API."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.rest.authorization import poll_query, submit_query
from local_emulator.maxcompute.rest.functions import functions
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
# Operation's name, method, path and handler; `operations` has the variants of some operations, by their query.
_ROUTES = (
    ("host.get", "GET", "/logview/host", host),
    ("host.get", "GET", "/webconsole/host", host),
    ("tenant.get", "GET", "/tenants", tenant),
    ("project.list", "GET", "/projects", projects),
    ("project.get", "GET", _PROJECT, project),
    ("project.put", "PUT", _PROJECT, put_project),
    ("tunnel.get", "GET", f"{_PROJECT}/tunnel", tunnel_service),
    ("log.put", "PUT", f"{_PROJECT}/logs", logs),
    ("table.list", "GET", f"{_PROJECT}/tables", tables),
    ("table.get", "GET", f"{_PROJECT}/tables/{{table}}", table),
    ("schema.list", "GET", f"{_PROJECT}/schemas", schemas),
    ("schema.get", "GET", _SCHEMA, schema),
    ("table.list", "GET", f"{_SCHEMA}/tables", tables),
    ("table.get", "GET", f"{_SCHEMA}/tables/{{table}}", table),
    ("function.list", "GET", f"{_PROJECT}/registration/functions", functions),
    ("sql", "POST", _INSTANCES, submit),
    ("instance.list", "GET", _INSTANCES, instances),
    ("instance.queue", "GET", f"{_PROJECT}/cachedinstances", queue),
    ("instance.status", "GET", f"{_INSTANCES}/{{instance}}", instance),
    ("instance.stop", "PUT", f"{_INSTANCES}/{{instance}}", stop),
    ("authorization", "POST", f"{_PROJECT}/authorization", submit_query),
    ("authorization.status", "GET", f"{_PROJECT}/authorization/{{query}}", poll_query),
    ("user.list", "GET", f"{_PROJECT}/users", list_users),
    ("user.get", "GET", f"{_PROJECT}/users/{{user}}", get_user),
    ("role.list", "GET", f"{_PROJECT}/roles", list_roles),
    ("role.get", "GET", f"{_PROJECT}/roles/{{role}}", get_role),
    ("role.put", "PUT", f"{_PROJECT}/roles/{{role}}", put_role),
)

OPERATIONS = MappingProxyType({(method, PREFIX + path): name for name, method, path, _ in _ROUTES})


def add_routes(app: web.Application) -> None:
    """Add all routes, below `PREFIX`."""
    for _, method, path, handler in _ROUTES:
        app.router.add_route(method, PREFIX + path, handler)
