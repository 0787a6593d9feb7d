"""Deploy a template's functions and triggers to the local account, like the component fc3 of Serverless Devs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.dispatch import Call
from local_emulator.control_plane.eventbridge import lifecycle
from local_emulator.control_plane.function_compute import functions, triggers
from local_emulator.control_plane.function_compute import layers as layer_actions
from local_emulator.control_plane.function_compute.component import sent
from local_emulator.control_plane.function_compute.entities import DeployedFunctions, Layer, Layers, Triggers
from local_emulator.control_plane.identity import AccessKeys
from local_emulator.control_plane.ram import service_linked
from local_emulator.control_plane.ram.entities import Ram
from local_emulator.function_compute import layers, rules
from local_emulator.function_compute.content import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from local_emulator.control_plane.function_compute.entities import Invoke
    from local_emulator.control_plane.server import ControlPlaneServer
    from local_emulator.function_compute.template import Function, Template, Trigger

_ENABLE = "triggerEnable"
_SOURCES = ("source-kafka.eventbridge.aliyuncs.com", "connect-vpc.eventbridge.aliyuncs.com")
_SEND = "sendevent-fc.eventbridge.aliyuncs.com"


def deploy(server: ControlPlaneServer, template: Template, invoke: Callable[[Function], Invoke] | None = None) -> None:
    """Add a template's functions to the control plane, and create their eventbridge triggers with their streams.

    `invoke` returns the callable with which a stream invokes a function; without it, no stream runs. An existing
    trigger keeps its triggerEnable: a paused stream stays paused. Streams that ran when the state was saved run again.
    ApiError if a trigger is invalid, MissingLayerError if there is no folder of a layer.
    """
    server.plane.settings.surroundings.functions.invoke = invoke
    with server.state.lock:
        for function in template.functions.values():
            _put_layers(server, function, layers.folders(function, template.path.parent))
            _put_function(server, function)
            for trigger in function.triggers:
                if trigger.type == triggers.KIND:
                    _make_roles(_as_owner(server, {}))
                    _make_trigger(server, function.name, trigger)
        connect(server, invoke)
        server.state.save()


def connect(server: ControlPlaneServer, invoke: Callable[[Function], Invoke] | None) -> None:
    """Let streams invoke functions, and start the streams that ran when the state was saved.

    `invoke` returns the callable with which a stream invokes a function.
    """
    server.plane.settings.surroundings.functions.invoke = invoke
    with server.state.lock:
        lifecycle.resume(_as_owner(server, {}))


def _put_layers(server: ControlPlaneServer, function: Function, folders: Iterable[Path]) -> None:
    """Create the versions that a function's layers have in the template; installed wheels are used in place."""
    call = _as_owner(server, {})
    contents = call.surroundings.functions.contents
    for arn, folder in zip(function.props.get("layers") or [], folders, strict=True):
        match = rules.LAYER.fullmatch(arn)
        assert match  # noqa: S101 - the template's rules have checked it
        layer = server.state.part(Layers).layers.setdefault(match["layer"], Layer(match["layer"]))
        content = Content(str(folder.parent)) if layers.is_installed(folder) else contents.add_folder(folder.parent)
        layer_actions.put(call, layer, int(match["version"]), content, list(rules.RUNTIMES))


def _put_function(server: ControlPlaneServer, function: Function) -> None:
    """Create or change a function with the properties that fc3 would send."""
    call = _as_owner(server, {})
    content = call.surroundings.functions.contents.add_folder(function.code)
    config = sent(function)
    existing = server.state.part(DeployedFunctions).functions.get(function.name)
    if existing:
        functions.change(call, existing, config, content)
    else:
        functions.put(call, config, content)


def is_paused(server: ControlPlaneServer, function: str, trigger: str) -> bool:
    """Return whether a trigger is disabled; KeyError if there is no such trigger."""
    with server.state.lock:
        config = json.loads(server.state.part(Triggers).functions[function][trigger].config)
    return not config.get(_ENABLE, True)


def _make_roles(call: Call) -> None:
    """Create missing roles like fc3: if the source's first role exists, fc3 creates neither (facts, section b)."""
    roles = {role.service for role in call.state.part(Ram).roles.values()}
    _make_missing(call, [_SEND], roles)
    if _SOURCES[0] not in roles:
        _make_missing(call, _SOURCES, roles)


def _make_missing(call: Call, services: Iterable[str], existing: set[str]) -> None:
    for service in services:
        if service not in existing:
            service_linked.make(call, service)


def _make_trigger(server: ControlPlaneServer, function: str, trigger: Trigger) -> None:
    path, config = {"function": function, "trigger": trigger.name}, dict(trigger.config)
    before = server.state.part(Triggers).functions.get(function, {}).get(trigger.name)
    if before is None:
        body = {"triggerName": trigger.name, "triggerType": triggers.KIND, "triggerConfig": json.dumps(config)}
        triggers.create(_as_owner(server, path, {**body, "description": trigger.description}))
        return
    old_config = json.loads(before.config)
    new_config = {**config, _ENABLE: old_config.get(_ENABLE, True)}
    if new_config != old_config:
        triggers.update(_as_owner(server, path, {"triggerConfig": json.dumps(new_config)}))


def _as_owner(server: ControlPlaneServer, path: dict[str, str], body: dict[str, Any] | None = None) -> Call:
    settings = server.plane.settings
    return Call(
        "deploy",
        path,
        server.state.part(AccessKeys).keys[settings.access_id],
        settings.account_id,
        server.clock.now(),
        server.state,
        settings.rules,
        settings.surroundings,
        json.dumps(body or {}).encode(),
    )
