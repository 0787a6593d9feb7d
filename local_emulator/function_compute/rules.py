"""Checks a template's functions against Function Compute's rules, because fc3 deploys without checks.

The limits come from the service's quota and runtime pages of 2026 and from fc3's schema (component 0.1.22).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RUNTIMES = ("python3.10", "python3.12")  # the service has no python3.11
_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}")
_HANDLER = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_VARIABLE = re.compile(r"[A-Za-z]\w*", re.ASCII)
_LAYER = re.compile(r"acs:fc:[a-z0-9-]+:[^:]+:layers/[A-Za-z_][\w-]*/versions/[1-9]\d*")
_MOST_LAYERS = 5
_ENVIRONMENT_BYTES = 4096
_INITIALIZER_SECONDS = 300
_PRE_STOP_SECONDS = 90
_TIMEOUT_SECONDS = 86_400
_TRIGGERED_SECONDS = 300  # an EventBridge trigger waits no longer for an invocation
_MEMORY_STEP = 64
_MEMORY_MB = range(128, 32_769, _MEMORY_STEP)
_CPU = (0.05, 16.0)
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
    return [f"{where}.{fault}" for check in _CHECKS for fault in check(props, folder)]


def _identity(props: Mapping[str, Any], folder: Path) -> Iterator[str]:
    if not _NAME.fullmatch(str(props.get("functionName"))):
        yield f"functionName: expected 1-64 of A-Z a-z 0-9 _ -, no digit or - first; found {props.get('functionName')}"
    if not props.get("region"):
        yield "region: expected a region such as cn-hangzhou, found none"
    if props.get("runtime") not in RUNTIMES:
        yield f"runtime: expected {' or '.join(RUNTIMES)}, found {props.get('runtime')}"
    handler = str(props.get("handler"))
    file = f"{handler.partition('.')[0]}.py"
    code = props.get("code")
    if not _HANDLER.fullmatch(handler):
        yield f"handler: expected FILE.FUNCTION such as index.handler, found {handler}"
    elif not isinstance(code, str) or not (folder / code / file).is_file():
        yield f"code: expected a folder, relative to the template, that holds {file}; found {code}"


def _time(props: Mapping[str, Any], _folder: Path) -> Iterator[str]:
    hooks = props.get("instanceLifecycleConfig", {})
    triggered = any(trigger.get("triggerType") == "eventbridge" for trigger in props.get("triggers", []))
    limits = {
        "timeout": (props.get("timeout", 1), _TRIGGERED_SECONDS if triggered else _TIMEOUT_SECONDS),
        "instanceLifecycleConfig.initializer.timeout": (
            hooks.get("initializer", {}).get("timeout", 1),
            _INITIALIZER_SECONDS,
        ),
        "instanceLifecycleConfig.preStop.timeout": (hooks.get("preStop", {}).get("timeout", 1), _PRE_STOP_SECONDS),
    }
    for name, (value, most) in limits.items():
        if not isinstance(value, int) or not 1 <= value <= most:
            yield f"{name}: expected a whole number of seconds from 1 to {most}, found {value!r}"
    for name in ("initializer", "preStop"):
        if name in hooks and not _HANDLER.fullmatch(str(hooks[name].get("handler"))):
            yield f"instanceLifecycleConfig.{name}.handler: expected FILE.FUNCTION, found {hooks[name].get('handler')}"


def _size(props: Mapping[str, Any], _folder: Path) -> Iterator[str]:
    memory, cpu = props.get("memorySize", 512), props.get("cpu")
    if memory not in _MEMORY_MB:
        yield f"memorySize: expected 128 to 32768 in steps of {_MEMORY_STEP}, found {memory!r}"
    elif cpu is not None:
        if not isinstance(cpu, (int, float)) or not _CPU[0] <= cpu <= _CPU[1]:
            yield f"cpu: expected {_CPU[0]} to {_CPU[1]:g}, found {cpu!r}"
        elif not _MB_PER_CPU[0] <= memory / cpu <= _MB_PER_CPU[1]:
            yield f"cpu: expected 1 to 4 GB of memory per core, found {memory} MB for {cpu}; change cpu or memorySize"
    if props.get("diskSize", 512) not in (512, 10_240):
        yield f"diskSize: expected 512 or 10240, found {props.get('diskSize')!r}"


def _layers(props: Mapping[str, Any], _folder: Path) -> Iterator[str]:
    layers = props.get("layers", [])
    if len(layers) > _MOST_LAYERS:
        yield f"layers: expected at most {_MOST_LAYERS}, found {len(layers)}"
    for index, arn in enumerate(layers):
        if not _LAYER.fullmatch(str(arn)):
            yield f"layers[{index}]: expected acs:fc:REGION:ACCOUNT:layers/NAME/versions/NUMBER, found {arn}"


def _environment(props: Mapping[str, Any], _folder: Path) -> Iterator[str]:
    variables = props.get("environmentVariables", {})
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


def _triggers(props: Mapping[str, Any], _folder: Path) -> Iterator[str]:
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


_CHECKS = (_identity, _time, _size, _layers, _environment, _triggers)
