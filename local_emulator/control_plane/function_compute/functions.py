"""Function Compute's actions on functions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.dispatch import Reply
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.function_compute import code, revisions
from local_emulator.control_plane.function_compute.entities import DeployedFunction, DeployedFunctions, Layers, Triggers
from local_emulator.function_compute import rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.function_compute.revisions import Qualified
    from local_emulator.function_compute.content import Content

_LONGEST_PAGE = 100
_DEFAULTS = {"timeout": 3, "memorySize": 512, "role": "", "description": ""}
_NOT_CONFIGURATION = ("code", "functionName")


def create(call: Call) -> dict[str, object]:
    """CreateFunction."""
    body = call.json()
    with call.state.lock:
        _check_creation(call, body)
    content = code.read(call, body)
    with call.state.lock:
        function = put(call, body, content)
        call.state.save()
        return shown(call, revisions.qualified(function))


def update(call: Call) -> dict[str, object]:
    """UpdateFunction: change the given parameters; instances of the earlier revision end after their calls."""
    body = call.json()
    content = code.read(call, body) if body.get("code") is not None else None
    with call.state.lock:
        function = revisions.existing(call)
        change(call, function, body, content)
        call.state.save()
        return shown(call, revisions.qualified(function))


def delete(call: Call) -> Reply:
    """DeleteFunction, with its versions, aliases and configurations; a function with triggers isn't deleted."""
    function = revisions.existing(call)
    if call.state.part(Triggers).functions.get(function.name):
        raise ApiError(409, "FunctionNotEmpty", f"function '{function.name}' has triggers; delete them first")
    if any(config.get("target") or config.get("defaultTarget") for config in function.provision.values()):
        raise ApiError(
            409, "ProvisionConfigExist", f"function '{function.name}' has a provision config; delete it first"
        )
    del call.state.part(DeployedFunctions).functions[function.name]
    call.surroundings.functions.runner.retire(function.name)
    collect(call)
    return Reply(status=204)


def show(call: Call) -> dict[str, object]:
    """GetFunction."""
    return shown(call, revisions.qualified(revisions.existing(call), call.text("qualifier")))


def show_code(call: Call) -> dict[str, object]:
    """GetFunctionCode: the zip's checksum, and an address from which anybody may fetch the zip."""
    found = revisions.qualified(revisions.existing(call), call.text("qualifier"))
    return {"checksum": found.content.checksum, "url": location(call, found.content)}


def list_functions(call: Call) -> dict[str, object]:
    """ListFunctions, a page at a time."""
    functions = call.state.part(DeployedFunctions).functions
    names, more = page(call, sorted(functions))
    return {"functions": [shown(call, revisions.qualified(functions[name])) for name in names], **more}


def put(call: Call, body: Mapping[str, Any], content: Content) -> DeployedFunction:
    """Add a function that doesn't exist; ApiError if it does, or if its configuration is wrong."""
    _check_creation(call, body)
    part = call.state.part(DeployedFunctions)
    part.last_revision += 1
    name, config = body["functionName"], {**_DEFAULTS, **_configuration(body)}
    part.functions[name] = function = DeployedFunction(
        str(uuid.uuid4()), name, config, content, _layers(call, config), part.last_revision, call.now, call.now
    )
    return function


def change(call: Call, function: DeployedFunction, body: Mapping[str, Any], content: Content | None) -> None:
    """Change a function's configuration and code; ApiError if the configuration would be wrong."""
    config = {**function.config, **_configuration(body)}
    _check(call, {**config, "functionName": function.name})
    content, layers = content or function.content, _layers(call, config)
    if (config, content, layers) != (function.config, function.content, function.layers):
        part = call.state.part(DeployedFunctions)
        part.last_revision += 1
        function.config, function.content, function.layers = config, content, layers
        function.revision, function.modified = part.last_revision, call.now
        call.surroundings.functions.runner.retire(function.name, "LATEST")
    collect(call)


def collect(call: Call) -> None:
    """Remove the code that no function or layer has, and that no instance runs."""
    functions = call.surroundings.functions
    contents = [
        content
        for function in call.state.part(DeployedFunctions).functions.values()
        for qualifier in ("", *function.versions)
        for found in (revisions.qualified(function, qualifier),)
        for content in (found.content, *found.layers)
    ]
    for layer in call.state.part(Layers).layers.values():
        contents += [version.content for version in layer.versions.values()]
    folders = {folder.parent.name for folder in functions.runner.folders()}
    functions.contents.keep({content.name for content in contents} | folders)


def page(call: Call, names: Sequence[str]) -> tuple[Sequence[str], dict[str, object]]:
    """Return the names of one page, and the token of the next page, if any; the token is the page's last name."""
    limit, after, prefix = (
        call.number("limit", _LONGEST_PAGE, 1, _LONGEST_PAGE),
        call.text("nextToken"),
        call.text("prefix"),
    )
    rest = [name for name in names if name > after and name.startswith(prefix)]
    return rest[:limit], {"nextToken": rest[limit - 1]} if len(rest) > limit else {}


def function_arn(call: Call, name: str, version: str = "LATEST") -> str:
    """Return the ARN of a function, or of its version or alias."""
    suffix = "" if version == "LATEST" else f"/{version}"
    return f"acs:fc:{call.rules.region}:{call.account}:functions/{name}{suffix}"


def stamp(time: datetime) -> str:
    """Return a time as answers show it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def location(call: Call, content: Content) -> str:
    """Return the address of a content's zip, at the host that the caller used; empty for a folder of this machine."""
    if content.in_place:
        return ""
    return f"http://{call.headers.get('host', '')}{call.surroundings.functions.downloads}/{content.name}.zip"


def shown(call: Call, found: Qualified) -> dict[str, object]:
    """Return a function as answers show it: what was configured, as it was sent, and what the service knows."""
    config = {key: value for key, value in found.config.items() if key not in {"layers", "instanceLifecycleConfig"}}
    if found.config.get("instanceLifecycleConfig"):
        config["instanceLifecycleConfig"] = found.config["instanceLifecycleConfig"]
    if "layers" in found.config:
        config["layers"] = [_shown_layer(call, arn) for arn in found.config["layers"] or []]
    function = found.function
    return {
        **config,
        "functionName": function.name,
        "functionId": function.id,
        "functionArn": function_arn(call, function.name, found.version),
        "codeChecksum": found.content.checksum,
        "codeSize": found.content.size,
        "createdTime": stamp(function.created),
        "lastModifiedTime": stamp(function.modified),
    }


def _shown_layer(call: Call, arn: str) -> dict[str, object]:
    version = revisions.layer_version(call, arn)
    return {"arn": arn, "size": version.content.size if version else 0}


def _configuration(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in _NOT_CONFIGURATION and value is not None}


def _layers(call: Call, config: Mapping[str, Any]) -> list[Content]:
    """Return the contents of layers that `_check` has found."""
    versions = (revisions.layer_version(call, arn) for arn in config.get("layers") or [])
    return [version.content for version in versions if version]


def _check_creation(call: Call, body: Mapping[str, Any]) -> None:
    """Check permissions, name and configuration of a new function."""
    name = str(body.get("functionName"))
    call.require("fc:CreateFunction", function_arn(call, name))
    if name in call.state.part(DeployedFunctions).functions:
        raise ApiError(409, "FunctionAlreadyExists", f"function '{name}' already exists")
    _check(call, body)


def _check(call: Call, config: Mapping[str, Any]) -> None:
    name = config.get("functionName")
    faults = rules.of_configuration(config, triggered=bool(call.state.part(Triggers).functions.get(str(name))))
    if not faults:
        for index, arn in enumerate(config.get("layers") or []):
            version = revisions.layer_version(call, arn)
            if version is None:
                faults.append(f"layers[{index}]: expected a layer version of this account and region, found {arn}")
            elif config.get("runtime") not in version.runtimes:
                listed = ", ".join(version.runtimes)
                faults.append(
                    f"layers[{index}]: expected a layer for {config.get('runtime')}, found {arn} for {listed}"
                )
    if faults:
        raise invalid_argument("; ".join(faults))
    if role := config.get("role"):
        call.require("ram:PassRole", role, {"acs:Service": "fc.aliyuncs.com"})
