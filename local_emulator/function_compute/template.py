"""Reads the functions of a template.yml (Serverless Devs edition 3.0.0, component fc3), resolves and checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from local_emulator.function_compute import rules
from local_emulator.function_compute.errors import TemplateError
from local_emulator.function_compute.expressions import Resolver

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The defaults of fc3 0.1.22 (seconds, MB).
_DEFAULT_TIMEOUT = 3
_DEFAULT_MEMORY = 512


@dataclass(frozen=True, slots=True)
class Hook:
    """An initializer or a pre-stop hook; `timeout` in seconds."""

    handler: str
    timeout: int


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a function; `config` is its triggerConfig as written."""

    name: str
    type: str
    qualifier: str
    config: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """One function; `code` is a folder, `timeout` in seconds, `memory` in MB, `layers` the names in the layers' ARNs.

    `props` holds the template's props, resolved.
    """

    name: str
    region: str
    runtime: str
    handler: str
    code: Path
    timeout: int
    memory: int
    layers: tuple[str, ...]
    environment: Mapping[str, str]
    role: str
    initializer: Hook | None
    pre_stop: Hook | None
    log_project: str
    log_store: str
    triggers: tuple[Trigger, ...]
    props: Mapping[str, Any] = field(default_factory=dict)

    def trigger(self, kind: str = "eventbridge") -> Trigger:
        """Return the first trigger of a type; KeyError names the types of the function's triggers."""
        for trigger in self.triggers:
            if trigger.type == kind:
                return trigger
        raise KeyError(f"{self.name} has no trigger of type {kind}, only {[trigger.type for trigger in self.triggers]}")


@dataclass(frozen=True, slots=True)
class Template:
    """A resolved template; `functions` maps the names of resources to functions."""

    path: Path
    account_id: str
    functions: Mapping[str, Function]


def load(path: Path, environment: Mapping[str, str], *, account_id: str = "1880000000000000") -> Template:
    """Read and resolve a template: env() takes values from `environment`, config('AccountID') is `account_id`.

    Raises TemplateError with all faults at once.
    """
    return resolve(read(path), path, environment, account_id=account_id)


def resolve(document: Mapping[str, Any], path: Path, environment: Mapping[str, str], *, account_id: str) -> Template:
    """Resolve a document that `read` returned, as `load` does; the document itself doesn't change."""
    resolver = Resolver(document, environment, {"AccountID": account_id, "AccessKeyID": "", "AccessKeySecret": ""})
    resolver.resolve(document.get("vars", {}), "vars")
    faults = rules.of_document(document)
    functions: dict[str, Function] = {}
    for name, resource in document.get("resources", {}).items() if not faults else ():
        where = f"resources.{name}.props"
        props = resolver.resolve(resource["props"], where, name)
        if resolver.faults:
            continue
        function_faults = rules.of_function(props, where, path.parent)
        faults += function_faults
        if not function_faults:
            functions[name] = function_of(props, (path.parent / props["code"]).resolve())
    if resolver.faults or faults:
        raise TemplateError(path, resolver.faults + faults)
    return Template(path=path, account_id=account_id, functions=functions)


def read(path: Path) -> dict[str, Any]:
    """Return a template's document as written, merged with the template that it extends.

    Raises TemplateError if a file holds no document.
    """
    document = _document(path)
    extended = document.get("extend")
    return _merged(_document(path.parent / extended), document) if isinstance(extended, str) else document


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base with the keys of the other: mappings are merged, other values replaced; null replaces nothing."""
    merged = dict(base)
    for key, value in own.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merged(before, value)
        elif value is not None:
            merged[key] = value
    return merged


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(path, [f"can't be read ({error.strerror}); give the path of a template.yml"]) from error
    except yaml.YAMLError as error:
        raise TemplateError(path, [f"isn't YAML: {error}"]) from error
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise TemplateError(path, [f"expected a mapping with edition and resources at the top, found {kind}"])
    return document


def function_of(props: Mapping[str, Any], code: Path) -> Function:
    """Return the function of a template's or the API's properties, which `rules` has accepted."""
    hooks = props.get("instanceLifecycleConfig") or {}
    log = props.get("logConfig") or {}
    log = {} if log == "auto" else log
    return Function(
        name=props["functionName"],
        region=props["region"],
        runtime=props["runtime"],
        handler=props["handler"],
        code=code,
        timeout=props.get("timeout", _DEFAULT_TIMEOUT),
        memory=props.get("memorySize", _DEFAULT_MEMORY),
        layers=tuple(arn.split(":layers/")[1].split("/")[0] for arn in props.get("layers") or []),
        environment={key: str(value) for key, value in (props.get("environmentVariables") or {}).items()},
        role=props.get("role", ""),
        initializer=_hook(hooks.get("initializer")),
        pre_stop=_hook(hooks.get("preStop")),
        log_project=log.get("project", ""),
        log_store=log.get("logstore", ""),
        triggers=tuple(
            Trigger(
                trigger["triggerName"],
                trigger["triggerType"],
                trigger.get("qualifier", "LATEST"),
                trigger["triggerConfig"],
                trigger.get("description", ""),
            )
            for trigger in props.get("triggers", [])
        ),
        props=props,
    )


def _hook(written: Mapping[str, Any] | None) -> Hook | None:
    return Hook(written["handler"], written.get("timeout", _DEFAULT_TIMEOUT)) if written else None
