"""Function Compute's part of an account's state: functions with versions and aliases, layers, triggers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import TYPE_CHECKING, Any

import msgspec

from local_emulator.control_plane.function_compute.uploads import Uploads
from local_emulator.function_compute.content import Content, ContentStore
from local_emulator.function_compute.runner import FunctionRunner

if TYPE_CHECKING:
    from local_emulator.function_compute.template import Function

LATEST = "LATEST"
"""The qualifier of a function's current code and configuration."""
Invoke = Callable[..., object]
"""Invokes a function with a body, and with asynchronous=True asynchronously; raises InvocationError."""


@dataclass(slots=True)
class Functions:
    """What functions need beside the state.

    Fields:
        invoke: the factory of the `Invoke` callables that streams use; None: no stream runs.
        runner: the instances.
        contents: the code of functions and layers.
        uploads: zips that were uploaded for functions and layers.
        downloads: the path below which anybody may fetch the zips of contents; it can't be guessed.
    """

    invoke: Callable[[Function], Invoke] | None = None
    runner: FunctionRunner = field(default_factory=FunctionRunner)
    contents: ContentStore = field(default_factory=ContentStore)
    uploads: Uploads = field(default_factory=Uploads)
    downloads: str = field(default_factory=lambda: f"/emulator/code/{secrets.token_urlsafe()}")

    def close(self) -> None:
        """Remove temporary files."""
        self.contents.close()
        self.uploads.close()


class PublishedVersion(msgspec.Struct):
    """A version: configuration, code and layers as they were when it was published."""

    config: dict[str, Any]
    content: Content
    layers: list[Content]
    revision: int
    created: datetime
    description: str = ""


class Alias(msgspec.Struct):
    """A name for a version; `weights` gives parts of the invocations to other versions."""

    name: str
    version: str
    weights: dict[str, float]
    created: datetime
    modified: datetime
    description: str = ""


class DeployedFunction(msgspec.Struct):
    """A function.

    Fields:
        config: the configuration as the API has it, without the code.
        layers: the layers' contents, which a function keeps if a layer's version is deleted.
        revision: a number that each change of code or configuration increases.
        last_version: the last published version's number.
        reserved_concurrency: None if it isn't configured.
        async_invoke, scaling, provision: these configurations by qualifier, as they were put.
        vpcs: the VPCs from which alone the function may be invoked.
    """

    id: str
    name: str
    config: dict[str, Any]
    content: Content
    layers: list[Content]
    revision: int
    created: datetime
    modified: datetime
    last_version: int = 0
    versions: dict[str, PublishedVersion] = {}
    aliases: dict[str, Alias] = {}
    reserved_concurrency: int | None = None
    async_invoke: dict[str, dict[str, Any]] = {}
    scaling: dict[str, dict[str, Any]] = {}
    provision: dict[str, dict[str, Any]] = {}
    vpcs: list[str] = []


class DeployedFunctions(msgspec.Struct):
    """The functions by name; `last_revision` is the highest revision so far."""

    functions: dict[str, DeployedFunction] = {}
    last_revision: int = 0


class LayerVersion(msgspec.Struct):
    """A version of a layer; its content has the Python packages in a folder `python`."""

    number: int
    content: Content
    runtimes: list[str]
    created: datetime
    description: str = ""
    license: str = ""


class Layer(msgspec.Struct):
    """A layer; numbers of deleted versions aren't used again."""

    name: str
    versions: dict[int, LayerVersion] = {}
    last: int = 0
    public: bool = False


class Layers(msgspec.Struct):
    """The layers, by name."""

    layers: dict[str, Layer] = {}


class DeployedTrigger(msgspec.Struct):
    """A trigger of type eventbridge: `config` is its triggerConfig, a JSON text, `stream` the name of its stream."""

    id: str
    name: str
    config: str
    stream: str
    created: datetime
    modified: datetime
    qualifier: str = LATEST
    description: str = ""
    invocation_role: str = ""


class Triggers(msgspec.Struct):
    """The triggers, by their functions' names and their own."""

    functions: dict[str, dict[str, DeployedTrigger]] = {}
