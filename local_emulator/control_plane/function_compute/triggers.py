"""Function Compute's actions on triggers: a trigger of type eventbridge creates, starts and pauses an event stream."""

from __future__ import annotations

import json
import re
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.dispatch import Reply, json_object
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.eventbridge import lifecycle
from local_emulator.control_plane.eventbridge.entities import EventStreams, Stream
from local_emulator.control_plane.function_compute.entities import DeployedTrigger, Triggers
from local_emulator.control_plane.function_compute.functions import function_arn, page, stamp
from local_emulator.control_plane.function_compute.revisions import existing as existing_function
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.eventbridge.errors import StreamConfigError
from local_emulator.eventbridge.event_pattern import EVERYTHING
from local_emulator.function_compute import rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.function_compute.entities import DeployedFunction

KIND = "eventbridge"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_MOST = 50
_QUALIFIER = "LATEST"


def create(call: Call) -> dict[str, object]:
    """CreateTrigger."""
    body = call.json()
    name, kind = _text(body, "triggerName"), _text(body, "triggerType")
    call.require("fc:CreateTrigger", f"{function_arn(call, call.required('function'))}/triggers/{name}")
    function = existing_function(call)
    if not _NAME.fullmatch(name):
        raise invalid_argument(
            f"triggerName: expected 1-128 letters, digits, '-', '_', no digit or '-' first, found {name!r}"
        )
    if kind != KIND:
        raise invalid_argument(f"triggerType: expected {KIND}, found {kind!r}; other types aren't emulated")
    own = call.state.part(Triggers).functions.setdefault(function.name, {})
    if name in own:
        raise ApiError(409, "TriggerAlreadyExists", f"trigger '{name}' of function '{function.name}' already exists")
    if len(own) >= _MOST:
        raise ApiError(400, "LimitExceededError", f"a function may have {_MOST} triggers")
    text = _config(call, body)
    _check_timeout(function)
    trigger = DeployedTrigger(str(uuid.uuid4()), name, text, stream_name(function.name, name), call.now, call.now)
    _fill(trigger, body)
    own[name] = trigger
    _apply(call, function.name, trigger)
    return _shown(call, trigger)


def stream_name(function: str, trigger: str) -> str:
    """Return the name of a trigger's event stream; neither name has a dot."""
    return f"{function}.{trigger}"


def update(call: Call) -> dict[str, object]:
    """UpdateTrigger: change the given parameters; triggerEnable starts or pauses the stream."""
    body = call.json()
    function, trigger = _existing(call)
    text = _config(call, body) if "triggerConfig" in body else trigger.config
    _fill(trigger, body)
    trigger.config = text
    trigger.modified = call.now
    _apply(call, function, trigger)
    return _shown(call, trigger)


def show(call: Call) -> dict[str, object]:
    """GetTrigger."""
    return _shown(call, _existing(call)[1])


def delete(call: Call) -> Reply:
    """DeleteTrigger, and its stream."""
    function, trigger = _existing(call)
    del call.state.part(Triggers).functions[function][trigger.name]
    lifecycle.remove(call, trigger.stream)
    return Reply(status=204)


def list_triggers(call: Call) -> dict[str, object]:
    """ListTriggers, a page at a time."""
    function = existing_function(call).name
    own = call.state.part(Triggers).functions.get(function, {})
    names, more = page(call, sorted(own))
    return {"triggers": [_shown(call, own[name]) for name in names], **more}


def _existing(call: Call) -> tuple[str, DeployedTrigger]:
    function, name = existing_function(call).name, call.required("trigger")
    trigger = call.state.part(Triggers).functions.get(function, {}).get(name)
    if trigger is None:
        raise ApiError(404, "TriggerNotFound", f"trigger '{name}' does not exist in function '{function}'")
    return function, trigger


def _config(call: Call, body: Mapping[str, Any]) -> str:
    """Return the triggerConfig; ApiError if it isn't a JSON text or is invalid."""
    text = body.get("triggerConfig")
    if not isinstance(text, str):
        raise invalid_argument(f"triggerConfig: expected a JSON string, found {type(text).__name__}")
    try:
        config = StreamConfig.from_trigger(json_object("triggerConfig", text))
    except StreamConfigError as error:
        raise invalid_argument("; ".join(error.faults)) from None
    if config.region not in {"", call.rules.region}:
        raise invalid_argument(
            f"RegionId: expected {call.rules.region}, which is the function's region, found {config.region}"
        )
    return text


def _check_timeout(function: DeployedFunction) -> None:
    """Check the timeout of a function that gets its first eventbridge trigger; later changes check it themselves."""
    config = {**function.config, "functionName": function.name}
    if faults := rules.of_configuration(config, triggered=True):
        raise invalid_argument(f"of the function {function.name}: {'; '.join(faults)}")


def _fill(trigger: DeployedTrigger, body: Mapping[str, Any]) -> None:
    qualifier = body.get("qualifier") or trigger.qualifier
    if qualifier != _QUALIFIER:
        raise ApiError(404, "VersionNotFound", f"version or alias '{qualifier}' does not exist; only {_QUALIFIER} does")
    trigger.description = body.get("description") or trigger.description
    trigger.invocation_role = body.get("invocationRole") or trigger.invocation_role


def _apply(call: Call, function: str, trigger: DeployedTrigger) -> None:
    """Create or replace the trigger's stream, and start or pause it as triggerEnable says."""
    streams = call.state.part(EventStreams).streams
    stream = _stream(call, function, trigger)
    before = streams.get(stream.name)
    if before:
        stream.created, stream.wanted = before.created, before.wanted
    streams[stream.name] = stream
    if StreamConfig.from_trigger(json.loads(trigger.config)).enabled:
        lifecycle.start(call, stream)
    elif stream.wanted == "RUNNING":
        lifecycle.pause(call, stream)


def _stream(call: Call, function: str, trigger: DeployedTrigger) -> Stream:
    """Return the trigger's stream with EventBridge's names of the parameters, which its API shows."""
    config = json.loads(trigger.config)
    run, delivery = config["runOptions"], config["eventSinkConfig"]["deliveryOption"]
    renamed = {_RUN_OPTIONS[key]: value for key, value in run.items() if key in _RUN_OPTIONS}
    # The sources disagree on what true means.
    asynchronous = config.get("asyncInvocationType", False) is call.rules.event_bridge.true_is_async
    values = {
        "FunctionName": function,
        "InvocationType": "Async" if asynchronous else "Sync",
        "Concurrency": str(delivery.get("concurrency", 1)),
    }
    return Stream(
        trigger.stream,
        {"SourceKafkaParameters": config["eventSourceConfig"]["eventSourceParameters"]["sourceKafkaParameters"]},
        {"SinkFcParameters": {key: {"Form": "CONSTANT", "Value": value} for key, value in values.items()}},
        renamed,
        call.now,
        f"of the trigger {trigger.name} of the function {function}",
        delivery.get("eventSchema", "CloudEvents"),
        config.get("eventRuleFilterPattern", EVERYTHING),
    )


_RUN_OPTIONS = MappingProxyType(
    {
        "maximumTasks": "MaximumTasks",
        "errorsTolerance": "ErrorsTolerance",
        "retryStrategy": "RetryStrategy",
        "deadLetterQueue": "DeadLetterQueue",
        "batchWindow": "BatchWindow",
    }
)


def _shown(call: Call, trigger: DeployedTrigger) -> dict[str, object]:
    """Return a trigger as answers show it; the service shows no targetArn of eventbridge triggers."""
    return {
        "triggerId": trigger.id,
        "triggerName": trigger.name,
        "triggerType": KIND,
        "triggerConfig": trigger.config,
        "qualifier": trigger.qualifier,
        "description": trigger.description,
        "invocationRole": trigger.invocation_role,
        "sourceArn": lifecycle.arn(call, trigger.stream),
        "createdTime": stamp(trigger.created),
        "lastModifiedTime": stamp(trigger.modified),
    }


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise invalid_argument(f"{key}: expected text that isn't empty, found {value!r}")
    return value
