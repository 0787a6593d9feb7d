"""Function Compute's actions that show the deployed functions and their layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_emulator.control_plane.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.function_compute.template import Function

_LAYER = re.compile(r"(?P<prefix>acs:fc:.*:layers/)(?P<name>[^/]+)/versions/(?P<version>\d+)")
_AS_WRITTEN = ("cpu", "diskSize", "instanceConcurrency", "internetAccess", "description", "vpcConfig")
"""The properties of a template's function that answers show unchanged."""
_LONGEST_PAGE = 100


def show(call: Call) -> dict[str, object]:
    """GetFunction."""
    return _shown(call, existing(call))


def list_functions(call: Call) -> dict[str, object]:
    """ListFunctions, a page at a time."""
    deployed = call.surroundings.functions.deployed
    names, more = page(call, sorted(deployed))
    return {"functions": [_shown(call, deployed[name]) for name in names], **more}


def list_layer_versions(call: Call) -> dict[str, object]:
    """ListLayerVersions: the versions that deployed functions use, latest first."""
    versions = _layers(call, call.required("layer"))
    return {"layers": [_shown_layer(arn) for _, arn in sorted(versions.items(), reverse=True)]}


def show_layer(call: Call) -> dict[str, object]:
    """GetLayerVersion."""
    layer, version = call.required("layer"), call.required("version")
    arn = _layers(call, layer).get(int(version)) if version.isascii() and version.isdigit() else None
    if arn is None:
        raise ApiError(404, "LayerVersionNotFound", f"version '{version}' of layer '{layer}' does not exist")
    return _shown_layer(arn)


def existing(call: Call) -> Function:
    """Return the function that a call's path names; ApiError FunctionNotFound."""
    name = call.required("function")
    function = call.surroundings.functions.deployed.get(name)
    if function is None:
        raise ApiError(404, "FunctionNotFound", f"function '{name}' does not exist")
    if call.text("qualifier", "LATEST") != "LATEST":
        raise ApiError(404, "VersionNotFound", f"version or alias '{call.text('qualifier')}' does not exist")
    return function


def page(call: Call, names: Sequence[str]) -> tuple[Sequence[str], dict[str, object]]:
    """Return the names of one page, and the token of the next page, if any; the token is the page's last name."""
    limit, after, prefix = (
        call.number("limit", _LONGEST_PAGE, 1, _LONGEST_PAGE),
        call.text("nextToken"),
        call.text("prefix"),
    )
    rest = [name for name in names if name > after and name.startswith(prefix)]
    return rest[:limit], {"nextToken": rest[limit - 1]} if len(rest) > limit else {}


def function_arn(call: Call, name: str) -> str:
    """Return a function's ARN."""
    return f"acs:fc:{call.rules.region}:{call.account}:functions/{name}"


def stamp(time: datetime) -> str:
    """Return a time as answers show it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _shown(call: Call, function: Function) -> dict[str, object]:
    hooks = {
        name: {"handler": hook.handler, "timeout": hook.timeout}
        for name, hook in (("initializer", function.initializer), ("preStop", function.pre_stop))
        if hook
    }
    return {
        "functionName": function.name,
        "functionArn": function_arn(call, function.name),
        "runtime": function.runtime,
        "handler": function.handler,
        "timeout": function.timeout,
        "memorySize": function.memory,
        "role": function.role,
        "environmentVariables": dict(function.environment),
        "layers": [{"arn": arn} for arn in function.props.get("layers", [])],
        "logConfig": {"project": function.log_project, "logstore": function.log_store},
        "instanceLifecycleConfig": hooks,
        "state": "Active",
        "lastUpdateStatus": "Successful",
        **{key: function.props[key] for key in _AS_WRITTEN if key in function.props},
    }


def _layers(call: Call, layer: str) -> dict[int, str]:
    """Return the ARNs of a layer's versions, by version; ApiError LayerNotFound."""
    arns = {
        arn for function in call.surroundings.functions.deployed.values() for arn in function.props.get("layers", [])
    }
    matches = [match for arn in arns if (match := _LAYER.fullmatch(arn)) and match["name"] == layer]
    if not matches:
        raise ApiError(404, "LayerNotFound", f"layer '{layer}' does not exist")
    return {int(match["version"]): match[0] for match in matches}


def _shown_layer(arn: str) -> dict[str, object]:
    match = _LAYER.fullmatch(arn)
    assert match  # noqa: S101 - `_layers` returns only ARNs that match
    return {"layerName": match["name"], "version": int(match["version"]), "layerVersionArn": arn}
