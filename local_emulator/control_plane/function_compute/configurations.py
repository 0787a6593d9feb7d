"""Function Compute's actions on what is configured beside a function: concurrency, asynchronous calls, instances, VPCs.

The emulator keeps these configurations and shows them. Only the limits of asynchronous calls change how functions run
here, see invocations.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.dispatch import Reply
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.function_compute.entities import LATEST, DeployedFunctions
from local_emulator.control_plane.function_compute.functions import function_arn, stamp
from local_emulator.control_plane.function_compute.revisions import existing, qualified

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.function_compute.entities import DeployedFunction

_MOST_CONCURRENCY = 1000
_ASYNC = {"maxAsyncRetryAttempts": range(9), "maxAsyncEventAgeInSeconds": range(1, 604_801)}
"""Ranges of the asynchronous configuration, by the SDK's descriptions."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The actions on one kind of configuration, which each qualifier of a function may have.

    Fields:
        of: returns a function's configurations by qualifier.
        items: the name of the list in the answer that lists them.
        check: raises ApiError if a configuration is wrong.
        reached: returns what the service has reached of a configuration.
        absent: the error for a configuration that doesn't exist; None: the answer is empty, as Serverless Devs expects.
    """

    of: Callable[[DeployedFunction], dict[str, dict[str, Any]]]
    items: str
    check: Callable[[dict[str, Any]], None]
    reached: Callable[[dict[str, Any]], dict[str, Any]]
    absent: str | None = None

    def put(self, call: Call) -> dict[str, object]:
        """Set the configuration of a qualifier."""
        function, qualifier, body = existing(call), call.text("qualifier", LATEST), call.json()
        qualified(function, qualifier)
        self.check(body)
        kept = {key: value for key, value in body.items() if value is not None}
        self.of(function)[qualifier] = {**kept, "lastModifiedTime": stamp(call.now)}
        return self._shown(call, function, qualifier)

    def show(self, call: Call) -> dict[str, object]:
        """Return the configuration of a qualifier."""
        function, qualifier = existing(call), call.text("qualifier", LATEST)
        if qualifier in self.of(function):
            return self._shown(call, function, qualifier)
        if self.absent:
            raise ApiError(404, self.absent, f"function '{function.name}' has none for the qualifier {qualifier}")
        return {}

    def delete(self, call: Call) -> Reply:
        """Remove the configuration of a qualifier, if there is one."""
        self.of(existing(call)).pop(call.text("qualifier", LATEST), None)
        return Reply(status=204)

    def list_all(self, call: Call) -> dict[str, object]:
        """List the configurations of one function or of all."""
        functions, name = call.state.part(DeployedFunctions).functions, call.text("functionName")
        chosen = [existing(call, name)] if name else [functions[each] for each in sorted(functions)]
        shown = [self._shown(call, function, qualifier) for function in chosen for qualifier in self.of(function)]
        return {self.items: shown}

    def _shown(self, call: Call, function: DeployedFunction, qualifier: str) -> dict[str, object]:
        config = self.of(function)[qualifier]
        shown = {key: value for key, value in config.items() if key != "lastModifiedTime"}
        times = {"createdTime": stamp(function.created), "lastModifiedTime": config["lastModifiedTime"]}
        arn = function_arn(call, function.name, qualifier)
        return {"functionArn": arn, **shown, **(times if self is ASYNC_INVOKE else {}), **self.reached(config)}


def put_concurrency(call: Call) -> dict[str, object]:
    """PutConcurrencyConfig."""
    function, reserved = existing(call), call.json().get("reservedConcurrency")
    if isinstance(reserved, bool) or not isinstance(reserved, int) or not 0 <= reserved <= _MOST_CONCURRENCY:
        raise invalid_argument(f"reservedConcurrency: expected 0 to {_MOST_CONCURRENCY}, found {reserved!r}")
    function.reserved_concurrency = reserved
    return _shown_concurrency(call, function)


def show_concurrency(call: Call) -> dict[str, object]:
    """GetConcurrencyConfig; empty if there is none."""
    function = existing(call)
    return {} if function.reserved_concurrency is None else _shown_concurrency(call, function)


def delete_concurrency(call: Call) -> Reply:
    """DeleteConcurrencyConfig."""
    existing(call).reserved_concurrency = None
    return Reply(status=204)


def list_concurrency(call: Call) -> dict[str, object]:
    """ListConcurrencyConfigs."""
    functions, name = call.state.part(DeployedFunctions).functions, call.text("functionName")
    chosen = [existing(call, name)] if name else list(functions.values())
    return {
        "configs": [_shown_concurrency(call, each) for each in chosen if each.reserved_concurrency is not None],
    }


def bind_vpc(call: Call) -> Reply:
    """CreateVpcBinding."""
    function, vpc = existing(call), call.json().get("vpcId")
    if not isinstance(vpc, str) or not vpc:
        raise invalid_argument(f"vpcId: expected a VPC's id, found {vpc!r}")
    function.vpcs = sorted({*function.vpcs, vpc})
    return Reply(status=204)


def list_vpcs(call: Call) -> dict[str, object]:
    """ListVpcBindings."""
    return {"vpcIds": existing(call).vpcs}


def unbind_vpc(call: Call) -> Reply:
    """DeleteVpcBinding."""
    function = existing(call)
    function.vpcs = [vpc for vpc in function.vpcs if vpc != call.required("vpc")]
    return Reply(status=204)


def _shown_concurrency(call: Call, function: DeployedFunction) -> dict[str, object]:
    arn = function_arn(call, function.name)
    return {"functionArn": arn, "reservedConcurrency": function.reserved_concurrency}


def _check_async(config: dict[str, Any]) -> None:
    for name, allowed in _ASYNC.items():
        value = config.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value not in allowed):
            raise invalid_argument(f"{name}: expected {allowed[0]} to {allowed[-1]}, found {value!r}")


def _check_number(name: str, config: dict[str, Any]) -> None:
    value = config.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise invalid_argument(f"{name}: expected a number from 0 up, found {value!r}")


def _check_provision(config: dict[str, Any]) -> None:
    for name in ("target", "defaultTarget"):
        _check_number(name, config)


def _reached_provision(config: dict[str, Any]) -> dict[str, Any]:
    target = config.get("target") or config.get("defaultTarget") or 0
    return {"target": target, "current": target}


def _reached_scaling(config: dict[str, Any]) -> dict[str, Any]:
    least = config.get("minInstances") or 0
    return {"currentInstances": least, "targetInstances": least}


ASYNC_INVOKE = Configuration(
    lambda function: function.async_invoke, "configs", _check_async, lambda _: {}, "AsyncConfigNotExists"
)
PROVISION = Configuration(lambda function: function.provision, "provisionConfigs", _check_provision, _reached_provision)
SCALING = Configuration(
    lambda function: function.scaling,
    "scalingConfigs",
    lambda config: _check_number("minInstances", config),
    _reached_scaling,
)
