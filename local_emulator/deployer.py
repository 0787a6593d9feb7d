"""Deploys functions of template.yml into the running cloud through its API, in the order of Serverless Devs' fc3.

Layers are published if their content has changed. A function is created or changed, without its code if the code is the
same; then come its triggers. A call that finds the thing existing by now (409) is repeated as a change.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.function_compute.component import sent
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.function_compute import archive, layers
from local_emulator.function_compute.content import checksum_of
from local_emulator.function_compute.rules import LAYER, RUNTIMES
from local_emulator.management import ManagementError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_emulator.function_compute.template import Function, Template, Trigger
    from local_emulator.management import ManagementClient

_EXISTS = 409
_RESOURCE_MANAGER, _KAFKA = "2020-03-31", "2019-09-16"
_SERVICES = ("sendevent-fc", "source-kafka", "connect-vpc")
_TOPIC_PARTITIONS = 6
_TRIGGERS = "eventbridge"


class DeploymentError(Exception):
    """A resource that the template doesn't have."""


def deploy(client: ManagementClient, template: Template, resources: list[str], say: Callable[[str], None]) -> None:
    """Deploy the named resources, or all; `say` gets a line for each step.

    Raises DeploymentError if the template has no such resource, ManagementError, MissingLayerError.
    """
    if unknown := [name for name in resources if name not in template.functions]:
        known = ", ".join(template.functions)
        raise DeploymentError(f"expected resources of the template ({known}), found {', '.join(unknown)}")
    published: dict[str, str] = {}
    for name in resources or list(template.functions):
        function = template.functions[name]
        folders = layers.folders(function, template.path.parent)
        arns = function.props.get("layers") or []
        for arn, folder in zip(arns, folders, strict=True):
            if arn not in published:
                published[arn] = _publish(client, arn, folder.parent, say)
        _put_function(client, function, [published[arn] for arn in arns], say)
        for trigger in function.triggers:
            if trigger.type == _TRIGGERS:
                _prepare(client, trigger, say)
                _put_trigger(client, function.name, trigger, say)


def _publish(client: ManagementClient, arn: str, folder: Path, say: Callable[[str], None]) -> str:
    """Return the ARN of a layer's latest version; first publish the folder's content if the version has another."""
    match = LAYER.fullmatch(arn)
    assert match  # noqa: S101 - the template's rules have checked it
    layer = match["layer"]
    latest = _latest(client, layer)
    with tempfile.NamedTemporaryFile() as file:
        archive.pack(folder, file)
        file.flush()
        if latest and latest["codeChecksum"] == checksum_of(Path(file.name)):
            say(f"layer {layer}: version {latest['version']}, unchanged")
            return str(latest["layerVersionArn"])
        body = {"code": client.upload(Path(file.name)), "compatibleRuntime": list(RUNTIMES)}
    made = client.function_compute("POST", f"layers/{layer}/versions", body)
    say(f"layer {layer}: version {made['version']}, published")
    return str(made["layerVersionArn"])


def _latest(client: ManagementClient, layer: str) -> dict[str, Any] | None:
    """Return a layer's latest version; None if there is none."""
    latest, start = None, 1
    while start:
        listed = client.find(f"layers/{layer}/versions", {"startVersion": str(start), "limit": "100"}) or {}
        for version in listed.get("layers", []):
            latest = version if latest is None or version["version"] > latest["version"] else latest
        start = listed.get("nextVersion", 0)
    return latest


def _put_function(client: ManagementClient, function: Function, arns: list[str], say: Callable[[str], None]) -> None:
    path = f"functions/{function.name}"
    existing = client.find(path)
    config: dict[str, Any] = {**sent(function), "layers": arns}
    with tempfile.NamedTemporaryFile() as file:
        archive.pack(function.code, file)
        file.flush()
        has_code = existing is not None and existing["codeChecksum"] == checksum_of(Path(file.name))
        if not has_code:
            config["code"] = client.upload(Path(file.name))
    before = existing and _without_times(existing)
    done = _put(client, path, "functions", config, exists=existing is not None)
    change = "unchanged" if before == _without_times(done) else "changed" if existing else "created"
    say(f"function {function.name}: {change}{'' if has_code else ', code uploaded'}")


def _put_trigger(client: ManagementClient, function: str, trigger: Trigger, say: Callable[[str], None]) -> None:
    path = f"functions/{function}/triggers/{trigger.name}"
    existing = client.find(path)
    body = {
        "triggerName": trigger.name,
        "triggerType": trigger.type,
        "triggerConfig": json.dumps(dict(trigger.config)),
        "qualifier": trigger.qualifier,
        "description": trigger.description,
    }
    if existing and json.loads(existing["triggerConfig"]) == trigger.config:
        change = "unchanged"
    else:
        _put(client, path, f"functions/{function}/triggers", body, exists=existing is not None)
        change = "changed" if existing else "created"
    enabled = trigger.config.get("triggerEnable", True)
    say(f"trigger {function}/{trigger.name}: {change}{'' if enabled else ', switched off'}")


def _put(
    client: ManagementClient, path: str, collection: str, body: Mapping[str, Any], *, exists: bool
) -> dict[str, Any]:
    """Create what isn't there, or change what is; return the answer."""
    if not exists:
        try:
            return client.function_compute("POST", collection, body)
        except ManagementError as error:
            if error.status != _EXISTS:
                raise
    return client.function_compute("PUT", path, body)


def _prepare(client: ManagementClient, trigger: Trigger, say: Callable[[str], None]) -> None:
    """Create what a trigger's stream needs: the service-linked roles, and the source topic, as `up` does."""
    for purpose in _SERVICES:
        service = f"{purpose}.eventbridge.aliyuncs.com"
        if not client.rpc(_RESOURCE_MANAGER, "CheckServiceLinkedRoleExistence", {"ServiceName": service})["Exists"]:
            client.rpc(_RESOURCE_MANAGER, "CreateServiceLinkedRole", {"ServiceName": service})
            say(f"service-linked role for {service}: created")
    config = StreamConfig.from_trigger(trigger.config)
    place = {"RegionId": config.region, "InstanceId": config.instance_id}
    listed = client.rpc(_KAFKA, "GetTopicList", {**place, "Topic": config.topic, "PageSize": "100"})
    if config.topic not in {topic["Topic"] for topic in listed["TopicList"]["TopicVO"]}:
        topic = {"Topic": config.topic, "Remark": "source", "PartitionNum": str(_TOPIC_PARTITIONS)}
        client.rpc(_KAFKA, "CreateTopic", {**place, **topic})
        say(f"topic {config.topic}: created with {_TOPIC_PARTITIONS} topic-partitions")


def _without_times(function: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in function.items() if key != "lastModifiedTime"}
