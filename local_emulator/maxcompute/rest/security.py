"""``?policy`` of projects and roles, and ``?security_configuration`` of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.maxcompute.access.configuration import DEFAULTS
from local_emulator.maxcompute.access.policies import PROJECT_HOLDER
from local_emulator.maxcompute.errors import invalid
from local_emulator.maxcompute.keys import ACCESS, PRINCIPAL, STORE, in_thread
from local_emulator.maxcompute.rest.xml import body, element, read, reply

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Project

_PROTECTION = "ProjectProtection"


async def get_policy(request: web.Request, project: Project, holder: str = PROJECT_HOLDER) -> web.Response:
    """``GET ?policy``: return a policy as it was written; empty without a policy."""
    access = request.app[ACCESS]
    access.require_administrator(request[PRINCIPAL], project, "read policies")
    return web.Response(text=access.policies.text(project.name, holder), content_type="application/json")


async def put_policy(request: web.Request, project: Project, holder: str = PROJECT_HOLDER) -> web.Response:
    """``PUT ?policy``: replace a policy, or delete it (empty body)."""
    access = request.app[ACCESS]
    access.require_appointer(request[PRINCIPAL], project, "write policies")
    try:
        text = (await body(request)).decode()
    except UnicodeDecodeError:
        raise invalid("failed to check policy format: not UTF-8") from None
    await in_thread(request, lambda: access.policies.write(project.name, text, holder))
    return web.Response()


async def get_configuration(request: web.Request, project: Project) -> web.Response:
    """``GET ?security_configuration``: return all parameters."""
    access = request.app[ACCESS]
    access.require_administrator(request[PRINCIPAL], project, "read the security configuration")
    values = ((name, str(access.configurations.is_on(project.name, name)).lower()) for name in DEFAULTS)
    return reply(
        element(
            "SecurityConfiguration",
            None,
            *(element(name, value) for name, value in values),
            element(_PROTECTION, Protected="false"),
        )
    )


async def put_project(request: web.Request) -> web.Response:
    """``PUT`` of a project: replace its policy or its security configuration."""
    project = request.app[STORE].project(request.match_info["project"])
    if "policy" in request.query:
        return await put_policy(request, project)
    if "security_configuration" in request.query:
        return await _put_configuration(request, project)
    raise invalid("changing a project's own properties is not emulated")


async def _put_configuration(request: web.Request, project: Project) -> web.Response:
    access = request.app[ACCESS]
    access.require_appointer(request[PRINCIPAL], project, "change the security configuration")
    root = await read(request, "SecurityConfiguration")
    protection = root.find(_PROTECTION)
    if protection is not None and protection.get("Protected", "false").lower() == "true":
        raise invalid("the protection of a project's data is not emulated")
    texts = {child.tag: (child.text or "").strip().lower() for child in root if child.tag != _PROTECTION}
    wrong = [name for name, text in texts.items() if text not in {"true", "false"}]
    if wrong:
        raise invalid(f"expected true or false in {', '.join(wrong)}")
    values = {name: text == "true" for name, text in texts.items()}
    await in_thread(request, lambda: access.configurations.write(project.name, values))
    return web.Response()
