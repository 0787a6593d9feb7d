"""What is deployed: the functions of a template, and the triggers that the account keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from local_emulator.function_compute.template import Function

Invoke = Callable[[bytes], object]
"""Delivers a body; raises InvocationError."""


@dataclass(slots=True)
class Functions:
    """The functions that are there, by name, and how one is invoked; both come once they are deployed."""

    deployed: Mapping[str, Function] = field(default_factory=dict)
    invoke: Callable[[Function], Invoke] | None = None


class DeployedTrigger(msgspec.Struct):
    """A trigger of type eventbridge; `config` is its triggerConfig, a JSON text, `stream` the name of what it made."""

    id: str
    name: str
    config: str
    stream: str
    created: datetime
    modified: datetime
    qualifier: str = "LATEST"
    description: str = ""
    invocation_role: str = ""


class Triggers(msgspec.Struct):
    """All triggers, by their functions' names and their own."""

    functions: dict[str, dict[str, DeployedTrigger]] = {}
