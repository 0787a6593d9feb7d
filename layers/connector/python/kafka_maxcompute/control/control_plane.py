"""Signed calls to the cloud's control plane, repeated if it can't answer now.

Services report errors in three ways: an HTTP status with Code and Message, an HTTP 200 with Success false, and no
answer at all. All become errors of `kafka_maxcompute.errors`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

import requests

from kafka_maxcompute.control.openapi_signature import encoded, signed
from kafka_maxcompute.control.operation import filled
from kafka_maxcompute.errors import BatchError, DeadlineError, RefusedError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Credentials, Deadline
    from kafka_maxcompute.control.operation import Operation
    from kafka_maxcompute.settings.destinations import TrustedAddress

CALL_SECONDS = 60.0
"""The longest time that one call is repeated; the invocation's deadline can shorten it."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 20.0
SHOWN_CHARACTERS = 300

_OK, _REDIRECT, _FORBIDDEN, _TOO_MANY, _SERVER_ERRORS = 200, 300, 403, 429, 500
# Codes of calls to be repeated later (docs/DESIGN.md, "Provisioning"), among them any with Throttling in it.
_RETRYABLE = re.compile(
    r"Throttling|FLOW_CONTROL|ServiceUnavailable|TooManyRequests|ResourceExhausted|ResourceThrottled"
    r"|ONS_SYSTEM_ERROR|ONS_INIT_ENV_ERROR|ConcurrentUpdateError|InternalError"
)
_FORBIDDEN_CODES = re.compile(r"NoPermission|AccessDenied|Forbidden", re.IGNORECASE)
_ABSENT_CODES = re.compile(r"NotExist|NotFound|NOT_FOUND|NOT_EXIST")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The control plane for the keys of one invocation.

    For messages, `names` fills in the resources of operations, and `grantee` names who needs the permissions.
    `endpoint` replaces the hosts of all products, for a local emulator. `read_seconds` is the longest wait for an
    answer.
    """

    region: str
    credentials: Credentials = field(repr=False)
    deadline: Deadline
    names: Mapping[str, str]
    endpoint: TrustedAddress | Literal[""] = ""
    grantee: str = "the provisioning identity"
    read_seconds: float = READ_SECONDS

    def knowing(self, **names: str) -> ControlPlane:
        """Return the same control plane with more names."""
        return replace(self, names={**self.names, **names})

    def call(self, operation: Operation, parameters: Mapping[str, object] | None = None, **body: object) -> Any:
        """Return the service's answer, parsed from JSON; repeats the call if the service can't answer now.

        `parameters` are sent in the product's style, without those that are None; `body` is for calls that take JSON.
        Raises `RefusedError`, `UnavailableError` or `DeadlineError`.
        """
        given = {name: text(value) for name, value in (parameters or {}).items() if value is not None}
        for attempt in until(self.deadline.within(CALL_SECONDS)):
            with attempt:
                answer = self._once(operation, given, body)
        return answer

    def find(self, operation: Operation, parameters: Mapping[str, object] | None = None) -> Any:
        """As `call`; return None if the service reports that the resource doesn't exist."""
        try:
            return self.call(operation, parameters)
        except RefusedError as error:
            if _ABSENT_CODES.search(error.code) and not error.code.startswith("InvalidAccessKeyId"):
                return None
            raise

    def _once(self, operation: Operation, given: Mapping[str, str], body: Mapping[str, object]) -> Any:
        remaining = self.deadline.remaining()
        if not remaining:
            raise DeadlineError(
                f"expected time left for {operation.name}, found none; call the action again, it continues from here"
            )
        base = urlsplit(self.endpoint or f"https://{operation.product.host_in(self.region)}")
        headers = {"accept": "application/json", "x-acs-action": operation.name}
        headers["x-acs-version"] = operation.product.version
        path, query, data = "/", "", b""
        if operation.product.style == "path":
            path = operation.path.format_map({name: quote(value, safe="") for name, value in given.items()})
            query = encoded({name: value for name, value in given.items() if f"{{{name}}}" not in operation.path})
            data = json.dumps(body).encode() if body else b""
            headers["content-type"] = "application/json"
        elif operation.product.style == "form":
            data = encoded(given).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
        else:
            query = encoded(given)
        signed_headers = signed(
            operation.method, base.netloc, path, query, data, headers=headers, credentials=self.credentials
        )
        address = f"{base.scheme}://{base.netloc}{path}{query and '?'}{query}"
        timeout = min(CONNECT_SECONDS, remaining), min(self.read_seconds, remaining)
        try:
            # The session ignores the environment: a proxy or .netrc there would spoil host and signature.
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(
                    operation.method, address, headers=signed_headers, data=data, timeout=timeout, allow_redirects=False
                )
        except requests.RequestException as error:
            # The error's text has the whole address, so only its type is shown.
            cause = type(error).__name__
            raise UnavailableError(f"could not {operation.name}: no answer from {base.netloc} ({cause})") from None
        return self._judged(operation, answer)

    def _judged(self, operation: Operation, answer: requests.Response) -> Any:
        """Return the answer's JSON; raise the error that it reports."""
        status = answer.status_code
        try:
            document = json.loads(answer.content or b"{}")
        except ValueError:
            document = None
        if not isinstance(document, dict):
            message = f"could not {operation.name}: expected a JSON object, found {len(answer.content)} other bytes"
            raise UnavailableError(f"{message} (HTTP {status})")
        failed = str(document.get("Success", "true")).lower() == "false"
        if _OK <= status < _REDIRECT and not failed:
            return document
        raise self._error(operation, status, document)

    def _error(self, operation: Operation, status: int, document: Mapping[str, Any]) -> BatchError:
        code = str(document.get("Code") or document.get("code") or status)
        request = document.get("RequestId") or document.get("requestId")
        message = f"could not {operation.name}: {code} (HTTP {status}, request {request})"
        reason = str(document.get("Message") or document.get("message") or "")[:SHOWN_CHARACTERS]
        if "ignature" not in code:  # messages about signatures repeat the signed text
            message += f": {reason}"
        if status == _TOO_MANY or status >= _SERVER_ERRORS or _RETRYABLE.search(code):
            return UnavailableError(message)
        if operation.permission and (status == _FORBIDDEN or _FORBIDDEN_CODES.search(code)):
            needed = f"{operation.permission} on {filled(operation.resource, self.names)}"
            message += f"; grant {needed} to {self.grantee}"
        return RefusedError(message, code=code)


def text(value: object) -> str:
    """Return a parameter's value in the services' form; objects and lists are JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)
