"""Function Compute's actions on layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from local_emulator.control_plane.dispatch import Reply
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.function_compute import code
from local_emulator.control_plane.function_compute.entities import Layer, Layers, LayerVersion
from local_emulator.control_plane.function_compute.functions import collect, location, page, stamp
from local_emulator.function_compute.rules import LAYER, RUNTIMES

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.function_compute.content import Content

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_LONGEST_PAGE = 100


def create_version(call: Call) -> dict[str, object]:
    """CreateLayerVersion."""
    body, name = call.json(), call.required("layer")
    runtimes = body.get("compatibleRuntime") or []
    if not _NAME.fullmatch(name):
        raise invalid_argument(f"layerName: expected 1-64 of A-Z a-z 0-9 _ -, no digit or - first; found {name}")
    if not isinstance(runtimes, list) or not runtimes or not all(isinstance(runtime, str) for runtime in runtimes):
        raise invalid_argument(f"compatibleRuntime: expected runtimes such as {RUNTIMES[0]}, found {runtimes!r}")
    content = code.read(call, body)
    with call.state.lock:
        layer = call.state.part(Layers).layers.setdefault(name, Layer(name))
        version = put(call, layer, layer.last + 1, content, runtimes)
        version.description, version.license = str(body.get("description") or ""), str(body.get("license") or "")
        call.state.save()
        return _shown(call, layer, version)


def put(call: Call, layer: Layer, number: int, content: Content, runtimes: list[str]) -> LayerVersion:
    """Add or replace a version of a layer."""
    version = LayerVersion(number, content, runtimes, call.now)
    layer.versions[number] = version
    layer.last = max(layer.last, number)
    return version


def delete_version(call: Call) -> Reply:
    """DeleteLayerVersion: functions that have the layer keep it until their next change, as instances run on."""
    layer, version = _existing(call)
    del layer.versions[version.number]
    collect(call)
    return Reply(status=204)


def show_version(call: Call) -> dict[str, object]:
    """GetLayerVersion."""
    return _shown(call, *_existing(call))


def show_by_arn(call: Call) -> dict[str, object]:
    """GetLayerVersionByArn."""
    arn = unquote(call.required("arn"))
    match = LAYER.fullmatch(arn)
    if not match:
        raise invalid_argument(f"arn: expected acs:fc:REGION:ACCOUNT:layers/NAME/versions/NUMBER, found {arn}")
    return _shown(call, *_find(call, match["layer"], match["version"]))


def list_versions(call: Call) -> dict[str, object]:
    """ListLayerVersions, a page at a time, latest first; nextVersion is the page's successor."""
    layer = _layer(call, call.required("layer"))
    limit, start = call.number("limit", 20, 1, _LONGEST_PAGE), call.number("startVersion", 1, 0, 2**31)
    numbers = sorted(number for number in layer.versions if number >= start)
    more = {"nextVersion": numbers[limit]} if len(numbers) > limit else {}
    return {"layers": [_shown(call, layer, layer.versions[number]) for number in reversed(numbers[:limit])], **more}


def list_layers(call: Call) -> dict[str, object]:
    """ListLayers: the latest version of each layer of the account, a page at a time."""
    layers = {name: layer for name, layer in call.state.part(Layers).layers.items() if layer.versions}
    if call.flag("official") or call.flag("public"):
        layers = {name: layer for name, layer in layers.items() if layer.public and not call.flag("official")}
    names, more = page(call, sorted(layers))
    shown = [_shown(call, layers[name], layers[name].versions[max(layers[name].versions)]) for name in names]
    return {"layers": shown, **more}


def put_acl(call: Call) -> Reply:
    """PutLayerACL."""
    layer = _layer(call, call.required("layer"))
    layer.public = call.flag("public") or call.text("acl") == "1"
    return Reply(status=204)


def _layer(call: Call, name: str) -> Layer:
    layer = call.state.part(Layers).layers.get(name)
    if layer is None or not layer.versions:
        raise ApiError(404, "LayerNotFound", f"layer '{name}' does not exist")
    return layer


def _existing(call: Call) -> tuple[Layer, LayerVersion]:
    return _find(call, call.required("layer"), call.required("version"))


def _find(call: Call, name: str, number: str) -> tuple[Layer, LayerVersion]:
    layer = _layer(call, name)
    version = layer.versions.get(int(number)) if number.isascii() and number.isdigit() else None
    if version is None:
        raise ApiError(404, "LayerVersionNotFound", f"version '{number}' of layer '{name}' does not exist")
    return layer, version


def _shown(call: Call, layer: Layer, version: LayerVersion) -> dict[str, object]:
    content = call.surroundings.functions.contents.measured(version.content)
    return {
        "layerName": layer.name,
        "version": version.number,
        "layerVersionArn": (f"acs:fc:{call.rules.region}:{call.account}:layers/{layer.name}/versions/{version.number}"),
        "description": version.description,
        "license": version.license,
        "compatibleRuntime": version.runtimes,
        "codeChecksum": content.checksum,
        "codeSize": content.size,
        "code": {"repositoryType": "OSS", "location": location(call, content)},
        "createTime": stamp(version.created),
        "acl": "1" if layer.public else "0",
    }
