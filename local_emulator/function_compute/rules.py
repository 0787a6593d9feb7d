"""Checks functions, of a template or of the API, against Function Compute's rules, because fc3 deploys without checks.

The limits come from the service's quota and runtime pages of 2026 and from fc3's schema (component 0.1.22).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import TypeGuard

RUNTIMES = ("python3.10", "python3.12")  # the service has no python3.11
_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}")
_HANDLER = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_VARIABLE = re.compile(r"[A-Za-z]\w*", re.ASCII)
LAYER = re.compile(
    r"acs:fc:(?P<region>[a-z0-9-]+):(?P<account>[^:]+):layers/(?P<layer>[A-Za-z_][\w-]*)/versions/(?P<version>[1-9]\d*)",
    re.ASCII,
)
"""A layer version's ARN."""
_MOST_LAYERS = 5
_ENVIRONMENT_BYTES = 4096
_INITIALIZER_SECONDS = 300
_PRE_STOP_SECONDS = 90
_TIMEOUT_SECONDS = 86_400
_TRIGGERED_SECONDS = 300  # an EventBridge trigger waits no longer for an invocation
_MEMORY_STEP = 64
_MEMORY_MB = range(128, 32_769, _MEMORY_STEP)
_CPU = (0.05, 16.0)
_CONCURRENCY = range(1, 201)
_MB_PER_CPU = (1024, 4096)


def of_document(document: Mapping[str, Any]) -> list[str]:
    """Return the faults of the template outside of its functions."""
    faults = []
    if document.get("edition") != "3.0.0":
        faults.append(f"edition: expected 3.0.0, found {document.get('edition')}; `resources` need it")
    resources = document.get("resources")
    if not isinstance(resources, dict) or not resources:
        return [*faults, "resources: expected at least one, found none; add a resource with component: fc3"]
    for name, resource in resources.items():
        if not isinstance(resource, dict) or resource.get("component") != "fc3":
            faults.append(f"resources.{name}.component: expected fc3; other components can't be run here")
        elif not isinstance(resource.get("props"), dict):
            faults.append(f"resources.{name}.props: expected a mapping, found {type(resource.get('props')).__name__}")
    return faults


def of_function(props: Mapping[str, Any], where: str, folder: Path) -> list[str]:
    """Return the faults of one function's resolved props; `folder` is the template's."""
    triggered = any(trigger.get("triggerType") == "eventbridge" for trigger in props.get("triggers", []))
    faults = [*_place(props, folder), *of_configuration(props, triggered=triggered), *_triggers(props)]
    return [f"{where}.{fault}" for fault in faults]


def of_configuration(config: Mapping[str, Any], *, triggered: bool) -> list[str]:
    """Return the faults of a function's configuration, in a template or in a call of the API.

    `triggered` says whether the function has an eventbridge trigger, which limits its timeout.
    """
    faults = [fault for check in _CHECKS for fault in check(config)]
    return [*faults, *_time(config, _TRIGGERED_SECONDS if triggered else _TIMEOUT_SECONDS)]


def _place(props: Mapping[str, Any], folder: Path) -> Iterator[str]:
    if not props.get("region"):
        yield "region: expected a region such as cn-hangzhou, found none"
    file = f"{str(props.get('handler')).partition('.')[0]}.py"
    code = props.get("code")
    if not isinstance(code, str) or not (folder / code / file).is_file():
        yield f"code: expected a folder, relative to the template, that holds {file}; found {code}"


def _identity(config: Mapping[str, Any]) -> Iterator[str]:
    name, runtime, handler = config.get("functionName"), config.get("runtime"), config.get("handler")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"functionName: expected 1-64 of A-Z a-z 0-9 _ -, no digit or - first; found {name}"
    if runtime not in RUNTIMES:
        yield f"runtime: expected {' or '.join(RUNTIMES)}, found {runtime}"
    if not isinstance(handler, str) or not _HANDLER.fullmatch(handler):
        yield f"handler: expected FILE.FUNCTION such as index.handler, found {handler}"


def _time(config: Mapping[str, Any], longest: int) -> Iterator[str]:
    yield from _seconds("timeout", config.get("timeout", 1), longest)
    hooks = config.get("instanceLifecycleConfig") or {}
    if not isinstance(hooks, dict):
        yield f"instanceLifecycleConfig: expected initializer and preStop, found {hooks!r}"
        return
    for name, most in (("initializer", _INITIALIZER_SECONDS), ("preStop", _PRE_STOP_SECONDS)):
        hook, path = hooks.get(name), f"instanceLifecycleConfig.{name}"
        if hook is None:
            continue
        if not isinstance(hook, dict):
            yield f"{path}: expected handler and timeout, found {hook!r}"
            continue
        yield from _seconds(f"{path}.timeout", hook.get("timeout", 1), most)
        if not _HANDLER.fullmatch(str(hook.get("handler"))):
            yield f"{path}.handler: expected FILE.FUNCTION, found {hook.get('handler')}"


def _seconds(name: str, value: object, most: int) -> Iterator[str]:
    if not _is_whole(value) or not 1 <= value <= most:
        yield f"{name}: expected a whole number of seconds from 1 to {most}, found {value!r}"


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _size(config: Mapping[str, Any]) -> Iterator[str]:
    memory, cpu = config.get("memorySize", 512), config.get("cpu")
    if not _is_whole(memory) or memory not in _MEMORY_MB:
        yield f"memorySize: expected 128 to 32768 in steps of {_MEMORY_STEP}, found {memory!r}"
    elif cpu is not None:
        if isinstance(cpu, bool) or not isinstance(cpu, (int, float)) or not _CPU[0] <= cpu <= _CPU[1]:
            yield f"cpu: expected {_CPU[0]} to {_CPU[1]:g}, found {cpu!r}"
        elif not _MB_PER_CPU[0] <= memory / cpu <= _MB_PER_CPU[1]:
            yield f"cpu: expected 1 to 4 GB of memory per core, found {memory} MB for {cpu}; change cpu or memorySize"
    if config.get("diskSize", 512) not in (512, 10_240):
        yield f"diskSize: expected 512 or 10240, found {config.get('diskSize')!r}"
    concurrency = config.get("instanceConcurrency", 1)
    if not _is_whole(concurrency) or concurrency not in _CONCURRENCY:
        yield f"instanceConcurrency: expected 1 to {_CONCURRENCY[-1]}, found {concurrency!r}"


def _layers(config: Mapping[str, Any]) -> Iterator[str]:
    layers = config.get("layers") or []
    if not isinstance(layers, list):
        yield f"layers: expected a list of ARNs, found {layers!r}"
        return
    if len(layers) > _MOST_LAYERS:
        yield f"layers: expected at most {_MOST_LAYERS}, found {len(layers)}"
    for index, arn in enumerate(layers):
        if not LAYER.fullmatch(str(arn)):
            yield f"layers[{index}]: expected acs:fc:REGION:ACCOUNT:layers/NAME/versions/NUMBER, found {arn}"


def _environment(config: Mapping[str, Any]) -> Iterator[str]:
    variables = config.get("environmentVariables") or {}
    if not isinstance(variables, dict):
        yield f"environmentVariables: expected names and texts, found {variables!r}"
        return
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or name.startswith("FC_"):
            yield (
                f"environmentVariables.{name}: expected a name of letters, digits and _ that begins with a letter, "
                "but not with FC_; rename the variable"
            )
        if not isinstance(value, str):
            yield f"environmentVariables.{name}: expected text, found {type(value).__name__}; put it in quotes"
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > _ENVIRONMENT_BYTES:
        yield f"environmentVariables: expected at most {_ENVIRONMENT_BYTES} bytes in all, found {size}; leave some out"


def _triggers(props: Mapping[str, Any]) -> Iterator[str]:
    triggers = props.get("triggers", [])
    for index, trigger in enumerate(triggers):
        for key in ("triggerName", "triggerType", "triggerConfig"):
            if not trigger.get(key):
                yield f"triggers[{index}].{key}: missing"
        if trigger.get("triggerType") == "eventbridge" and index != len(triggers) - 1:
            yield (
                f"triggers[{index}]: expected the eventbridge trigger as the last one, found triggers after it, which "
                "fc3 may skip; move it to the end"
            )


_CHECKS = (_identity, _size, _layers, _environment)
