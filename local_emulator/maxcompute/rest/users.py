"""``/projects/P/users`` and ``/projects/P/roles``: a project's users and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import invalid, missing
from local_emulator.maxcompute.keys import ACCESS, PRINCIPAL, STORE
from local_emulator.maxcompute.rest.security import get_policy, put_policy
from local_emulator.maxcompute.rest.xml import element, reply

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

    from aiohttp import web

    from local_emulator.maxcompute.access.members import Members, ProjectUser
    from local_emulator.maxcompute.entities import Project


async def list_users(request: web.Request) -> web.Response:
    """``GET /users``: list all users."""
    project, members = _managed(request)
    return _users(members.users(project.name))


async def get_user(request: web.Request) -> web.Response:
    """``GET /users/U``: get a user by number or, with ``type=displayname``, by name; ``?roles``: the user's roles."""
    project, members = _managed(request)
    user = _user(request, project, members)
    if "roles" in request.query:
        return _roles(members.user_roles(project.name, user.key))
    return reply(_user_element(user))


async def list_roles(request: web.Request) -> web.Response:
    """``GET /roles``: list all roles."""
    project, members = _managed(request)
    return _roles(members.roles(project.name))


async def get_role(request: web.Request) -> web.Response:
    """``GET /roles/R``: get a role; ``?users``: its users; ``?policy``: its policy."""
    project, members = _managed(request)
    role = members.role(project.name, request.match_info["role"])
    if "policy" in request.query:
        return await get_policy(request, project, role)
    if "users" in request.query:
        return _users(members.holders(project.name, role))
    return reply(_role_element(role))


async def put_role(request: web.Request) -> web.Response:
    """``PUT /roles/R?policy``: write a role's policy."""
    project, members = _managed(request)
    if "policy" not in request.query:
        raise invalid("expected ?policy; nothing else of a role can be put")
    return await put_policy(request, project, members.role(project.name, request.match_info["role"]))


def _managed(request: web.Request) -> tuple[Project, Members]:
    """Return the project and its members; ServiceError NoPermission unless the sender may manage them."""
    project = request.app[STORE].project(request.match_info["project"])
    access = request.app[ACCESS]
    access.require_administrator(request[PRINCIPAL], project, "list users and roles")
    return project, access.members


def _user(request: web.Request, project: Project, members: Members) -> ProjectUser:
    text = request.match_info["user"]
    if request.query.get("type", "").lower() == "displayname" and "$" in text:
        return members.user(project.name, text)
    user = next((user for user in members.users(project.name) if user.id == text), None)
    if user is None:
        raise missing("NoSuchObject", f"the user {text} does not exist in project {project.name}")
    return user


def _users(users: Iterable[ProjectUser]) -> web.Response:
    return reply(element("Users", None, *map(_user_element, users)))


def _roles(names: Iterable[str]) -> web.Response:
    return reply(element("Roles", None, *map(_role_element, names)))


def _user_element(user: ProjectUser) -> Element:
    return element("User", None, element("ID", user.id), element("DisplayName", user.name))


def _role_element(name: str) -> Element:
    return element("Role", None, element("Name", name))
