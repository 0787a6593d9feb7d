"""What a qualifier of a function names: a configuration and code, ready to run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.function_compute.entities import LATEST, DeployedFunction, DeployedFunctions, Layers
from local_emulator.function_compute.rules import LAYER
from local_emulator.function_compute.runner import Revision
from local_emulator.function_compute.template import function_of

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.function_compute.entities import Alias, LayerVersion
    from local_emulator.function_compute.content import Content
    from local_emulator.function_compute.template import Function


@dataclass(frozen=True, slots=True)
class Qualified:
    """A function's configuration, code and layers under a qualifier; `version` is LATEST or a version's number."""

    function: DeployedFunction
    version: str
    config: dict[str, Any]
    content: Content
    layers: list[Content]
    revision: int


def existing(call: Call, name: str = "", service: str = "") -> DeployedFunction:
    """Return a function, by default the one that a call's path names; ApiError FunctionNotFound."""
    name = name or call.required("function")
    function = call.state.part(DeployedFunctions).functions.get(name)
    if function is None:
        where = f" in service '{service}'" if service else ""
        raise ApiError(404, "FunctionNotFound", f"function '{name}' does not exist{where}")
    return function


def qualified(function: DeployedFunction, qualifier: str = "") -> Qualified:
    """Return what a qualifier names: LATEST, a version's number or an alias; ApiError if it names nothing.

    An alias with weights names a version at random, as for an invocation.
    """
    if qualifier in {"", LATEST}:
        return Qualified(function, LATEST, function.config, function.content, function.layers, function.revision)
    number = qualifier if qualifier.isdigit() else _drawn(existing_alias(function, qualifier))
    version = function.versions.get(number)
    if version is None:
        raise ApiError(404, "VersionNotFound", f"version '{number}' of function '{function.name}' does not exist")
    return Qualified(function, number, version.config, version.content, version.layers, version.revision)


def latest(call: Call, name: str) -> Qualified:
    """Return a function's current configuration and code; ApiError FunctionNotFound."""
    return qualified(existing(call, name))


def existing_alias(function: DeployedFunction, name: str) -> Alias:
    """Return a function's alias; ApiError AliasNotFound."""
    alias = function.aliases.get(name)
    if alias is None:
        raise ApiError(404, "AliasNotFound", f"alias '{name}' of function '{function.name}' does not exist")
    return alias


def to_run(call: Call, found: Qualified) -> Revision:
    """Return what the runner needs."""
    contents = call.surroundings.functions.contents
    folders = tuple(contents.folder(layer) / "python" for layer in found.layers)
    return Revision(found.revision, found.version, as_function(call, found), folders)


def as_function(call: Call, found: Qualified) -> Function:
    """Return a configuration and its code as an instance sees them."""
    folder = call.surroundings.functions.contents.folder(found.content)
    own = {"functionName": found.function.name, "region": call.rules.region}
    return function_of({**own, **found.config}, folder)


def layer_version(call: Call, arn: str) -> LayerVersion | None:
    """Return the layer version of an ARN; None if it isn't one of this account and region, or doesn't exist."""
    match = LAYER.fullmatch(arn)
    if not match or (match["region"], match["account"]) != (call.rules.region, call.account):
        return None
    layer = call.state.part(Layers).layers.get(match["layer"])
    return layer.versions.get(int(match["version"])) if layer else None


def _drawn(alias: Alias) -> str:
    point = random.random()  # noqa: S311 - shares of traffic
    for version, weight in alias.weights.items():
        point -= weight
        if point < 0:
            return version
    return alias.version
