"""The deployed functions, and the triggers in the account's state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import TYPE_CHECKING

import msgspec

from local_emulator.function_compute.runner import FunctionRunner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.function_compute.template import Function

Invoke = Callable[..., object]
"""Invokes a function with a body, and with asynchronous=True asynchronously; raises InvocationError."""


@dataclass(slots=True)
class Functions:
    """The deployed functions by name, what runs them, and the factory of the `Invoke` callables that streams use."""

    deployed: Mapping[str, Function] = field(default_factory=dict)
    invoke: Callable[[Function], Invoke] | None = None
    runner: FunctionRunner = field(default_factory=FunctionRunner)


class DeployedTrigger(msgspec.Struct):
    """A trigger of type eventbridge: `config` is its triggerConfig, a JSON text, `stream` the name of its stream."""

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
    """The triggers, by their functions' names and their own."""

    functions: dict[str, dict[str, DeployedTrigger]] = {}
