"""Calls and actions: what a product registers, and how one call is carried out.

A product is a module with a `Product`: a table of `Action` by name. An action's handler is a plain function from a
`Call` to the answer's JSON body; it runs in a thread, under the state's lock, after its permission was checked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane import access
from local_emulator.control_plane.alikafka.assumptions import KafkaAssumptions
from local_emulator.control_plane.errors import GATEWAY_CODES, ApiError, Refusal, RefusedError, invalid, missing
from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from local_emulator.control_plane.identity import AccessKey, RamPrincipal
    from local_emulator.control_plane.state import AccountState
    from local_emulator.control_plane.surroundings import Surroundings

_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"false", "0"})
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rules:
    """Where the cloud's behaviour isn't certain, or has a limit: what this one does.

    Fields:
        region: of the services, in the ARNs of what they own.
        lower_case_arns: whether RAM shows a role's name in lower case in its ARN, as most of the evidence says.
        role_quota: how many roles an account may have.
        deletion_polls: how often the deletion of a service-linked role is found IN_PROGRESS before it has SUCCEEDED.
        kafka, event_bridge: those of AliKafka and EventBridge.
    """

    region: str = "cn-hangzhou"
    lower_case_arns: bool = True
    role_quota: int = 1000
    deletion_polls: int = 1
    kafka: KafkaAssumptions = field(default_factory=KafkaAssumptions)
    event_bridge: EventBridgeAssumptions = field(default_factory=EventBridgeAssumptions)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an action.

    Fields:
        action: its name.
        parameters: of the query and the form together (a form's win); of a path, its variables too.
        body, headers: as they came, for products whose parameters are JSON; headers are found in any case.
        key: what signed it; ``principal`` is whom that stands for.
        account: the account's number.
        now: the emulator's time, UTC.
    """

    action: str
    parameters: Mapping[str, str]
    key: AccessKey
    account: str
    now: datetime
    state: AccountState
    rules: Rules
    surroundings: Surroundings
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def principal(self) -> RamPrincipal:
        """Who calls."""
        return self.key.principal

    def text(self, name: str, default: str = "") -> str:
        """A parameter; an empty one is as good as none."""
        return self.parameters.get(name) or default

    def required(self, name: str) -> str:
        """A parameter that must be there; ApiError Missing<Name> if not."""
        found = self.parameters.get(name, "")
        if not found:
            raise missing(name)
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A truth value: true, True (as Python's SDK writes it) or 1; ApiError for anything else."""
        found = self.text(name).lower()
        if found and found not in _TRUE | _FALSE:
            raise invalid(name, "true or false", self.text(name))
        return found in _TRUE if found else default

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds; ApiError InvalidParameter.<Name> if it's none."""
        text = self.text(name, str(default))
        if not (text.isascii() and text.lstrip("-").isdigit() and low <= int(text) <= high):
            raise invalid(name, f"a number from {low} to {high}", text)
        return int(text)

    def items(self, name: str) -> list[str]:
        """A list that came as Name.1, Name.2 and so on."""
        numbers = sorted(
            int(rest)
            for key in self.parameters
            if key.startswith(f"{name}.") and (rest := key[len(name) + 1 :]).isdigit()
        )
        return [self.parameters[f"{name}.{number}"] for number in numbers]

    def json(self) -> dict[str, Any]:
        """The body of a product with JSON bodies; ApiError InvalidArgument if it isn't an object."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as error:
            raise ApiError(400, "InvalidArgument", f"expected a JSON object as the body: {error}") from None
        if not isinstance(found, dict):
            raise ApiError(400, "InvalidArgument", "expected a JSON object as the body")
        return found

    def require(self, permission: str, resource: str, context: Mapping[str, str] = _NOTHING) -> None:
        """One more permission that the caller must have, such as ram:PassRole; RefusedError DENIED if it hasn't."""
        access.check(self.state, self.key, permission, resource, context)

    def arn(self, template: str) -> str:
        """A resource's name from a template with {account}, {region} and parameters; those that are absent: ``*``."""
        given = {name: value for name, value in self.parameters.items() if value}
        return template.format_map(_Names({**given, "account": self.account, "region": self.rules.region}))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that isn't JSON with status 200."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """What can be called.

    Fields:
        handler: does it; raises ApiError.
        permission: the RAM action that the caller needs; empty: none.
        resource: on which resource, a template for `Call.arn`.
        conditions: condition keys of policies, and the parameters whose values they have.
        alone: whether the state's lock is held; not for what takes long and touches no state, such as an invocation.
    """

    handler: Callable[[Call], Mapping[str, object] | Reply]
    permission: str = ""
    resource: str = "*"
    conditions: Mapping[str, str] = field(default_factory=dict)
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Product:
    """One API.

    Fields:
        name, version: as in the SDKs, such as Ram and 2015-05-01.
        actions: by name.
        routes: of a product with paths (ROA): method and path, such as ``GET /2023-03-30/functions/{function}``, to
            the action's name. Without any, calls name their action (RPC).
        codes: HTTP status and code of refusals, where they aren't the gateway's.
        throttled: the code of a call too many, for the fault that makes one.
    """

    name: str
    version: str
    actions: Mapping[str, Action]
    routes: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[Refusal, tuple[int, str]] = field(default_factory=dict)
    throttled: str = "Throttling.User"

    def error(self, refused: RefusedError) -> ApiError:
        """A refusal in this product's codes."""
        status, code = self.codes.get(refused.refusal) or GATEWAY_CODES[refused.refusal]
        return ApiError(status, code, refused.message, refused.fields)


def run(action: Action, call: Call) -> Mapping[str, object] | Reply:
    """Check the permission, do it, keep what has changed; ApiError or RefusedError if it isn't done."""
    with call.state.lock:
        if action.permission:
            context = {
                key: call.text(parameter) for key, parameter in action.conditions.items() if call.text(parameter)
            }
            access.check(call.state, call.key, action.permission, call.arn(action.resource), context)
        if action.alone:
            answer = action.handler(call)
            call.state.save()
            return answer
    return action.handler(call)


class _Names(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "*"
