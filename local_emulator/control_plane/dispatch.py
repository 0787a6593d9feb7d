"""Products, their actions and calls: what a product registers, and how a call is carried out.

A product is a module with a `Product`: a table of `Action` by name. An action's handler is a plain function from a
`Call` to the answer's JSON body. The handler runs in a thread, under the state's lock, after the permission check.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane import access
from local_emulator.control_plane.alikafka.assumptions import KafkaAssumptions
from local_emulator.control_plane.documents import parse_json
from local_emulator.control_plane.errors import (
    GATEWAY_CODES,
    ApiError,
    Refusal,
    RefusedError,
    invalid,
    invalid_argument,
    missing,
)
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
    """The emulator's limits, and its choices for behaviour of the real cloud that isn't certain.

    Fields:
        region: the services' region, as in the ARNs of their resources.
        lower_case_arns: whether RAM shows a role's name in lower case in its ARN, as most of the evidence says.
        role_quota: how many roles an account may have.
        deletion_polls: how many polls report a service-linked role's deletion as IN_PROGRESS before SUCCEEDED.
        kafka, event_bridge: the choices for AliKafka and EventBridge.
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
        action: the action's name.
        parameters: the query's and the form's (the form's take precedence), and the variables of the path.
        body, headers: as received, for products whose parameters are JSON; header names are case-insensitive.
        key: the access key that signed the request; ``principal`` is the key's owner.
        account: the account's number.
        now: the emulator's time, UTC.
        request_id: the request's id, as the answer names it.
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
    request_id: str = ""

    @property
    def principal(self) -> RamPrincipal:
        """The caller."""
        return self.key.principal

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter; an empty one counts as absent."""
        return self.parameters.get(name) or default

    def required(self, name: str) -> str:
        """Return a mandatory parameter; ApiError Missing<Name> if it is absent."""
        text = self.parameters.get(name, "")
        if not text:
            raise missing(name)
        return text

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean parameter: true or false in any case, as Python's SDK writes it, 1 or 0; else ApiError."""
        text = self.text(name).lower()
        if text and text not in _TRUE | _FALSE:
            raise invalid(name, "true or false", self.text(name))
        return text in _TRUE if text else default

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Return an integer parameter from ``low`` to ``high``; ApiError InvalidParameter.<Name> for anything else."""
        text = self.text(name, str(default))
        if not (text.isascii() and text.lstrip("-").isdigit() and low <= int(text) <= high):
            raise invalid(name, f"a number from {low} to {high}", text)
        return int(text)

    def items(self, name: str) -> list[str]:
        """Return a list whose items are the parameters Name.1, Name.2 and so on."""
        numbers = sorted(
            int(rest)
            for key in self.parameters
            if key.startswith(f"{name}.") and (rest := key[len(name) + 1 :]).isdigit()
        )
        return [self.parameters[f"{name}.{number}"] for number in numbers]

    def json(self) -> dict[str, Any]:
        """Return the body, for products with JSON bodies; ApiError InvalidArgument if it isn't an object."""
        try:
            document = parse_json(self.body or b"{}")
        except ValueError as error:
            raise invalid_argument(f"expected a JSON object as the body: {error}") from None
        if not isinstance(document, dict):
            raise invalid_argument("expected a JSON object as the body")
        return document

    def require(self, permission: str, resource: str, context: Mapping[str, str] = _NOTHING) -> None:
        """Check another permission of the caller, such as ram:PassRole; RefusedError DENIED if it is missing."""
        access.check(self.state, self.key, permission, resource, context)

    def arn(self, template: str) -> str:
        """Fill in {account}, {region} and parameters in a resource name; an absent parameter becomes ``*``."""
        values = {name: value for name, value in self.parameters.items() if value}
        return template.format_map(_Names({**values, "account": self.account, "region": self.rules.region}))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer other than JSON with status 200."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """An action of a product's API.

    Fields:
        handler: carries the call out; raises ApiError.
        permission: the RAM action that the caller must be allowed; empty: none.
        resource: the resource that the permission is about, as a template for `Call.arn`.
        conditions: condition keys of policies, and the parameters that give their values.
        waits: whether the handler may take long; it then runs without the state's lock, and saves nothing.
        most_bytes: the largest body, if it is less than the control plane's own limit.
    """

    handler: Callable[[Call], Mapping[str, object] | Reply]
    permission: str = ""
    resource: str = "*"
    conditions: Mapping[str, str] = field(default_factory=dict)
    waits: bool = False
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """One API.

    Fields:
        name, version: as in the SDKs, such as Ram and 2015-05-01.
        actions: by name.
        routes: the actions' names by method and path, such as ``GET /2023-03-30/functions/{function}``, if the product
            has paths (ROA). Empty if each call names its action (RPC).
        codes: HTTP status and code of the refusals whose codes differ from the gateway's.
        throttled: the error code of the fault that throttles calls.
    """

    name: str
    version: str
    actions: Mapping[str, Action]
    routes: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[Refusal, tuple[int, str]] = field(default_factory=dict)
    throttled: str = "Throttling.User"

    def error(self, refused: RefusedError) -> ApiError:
        """Return a refusal as an error with this product's status and code."""
        status, code = self.codes.get(refused.refusal) or GATEWAY_CODES[refused.refusal]
        return ApiError(status, code, refused.message, refused.fields)


def run(action: Action, call: Call) -> Mapping[str, object] | Reply:
    """Check the permission, carry the call out, and save the state; ApiError or RefusedError if the call fails."""
    with call.state.lock:
        if action.permission:
            context = {
                key: call.text(parameter) for key, parameter in action.conditions.items() if call.text(parameter)
            }
            access.check(call.state, call.key, action.permission, call.arn(action.resource), context)
        if not action.waits:
            answer = action.handler(call)
            call.state.save()
            return answer
    return action.handler(call)


def json_object(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object in the text of a parameter; ApiError InvalidArgument if there is none."""
    try:
        document = parse_json(text)
    except ValueError as error:
        raise invalid_argument(f"{name}: expected a JSON object: {error}") from None
    if not isinstance(document, dict):
        raise invalid_argument(f"{name}: expected a JSON object, found {type(document).__name__}")
    return document


class _Names(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "*"
