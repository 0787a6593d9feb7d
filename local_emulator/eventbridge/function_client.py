"""Calls a function of the local or the real cloud by Function Compute's API of version 2023-03-30.

Requests are signed with ACS3-HMAC-SHA256, which aliyun-fc2 can't do.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec
import requests

from local_emulator.eventbridge.errors import InvocationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

VERSION = "2023-03-30"
ALGORITHM = "ACS3-HMAC-SHA256"
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 660.0
"""Ten minutes for a function, and a minute for a new instance."""
TEXT_LENGTH = 4_000


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key; `token` is empty if the key isn't temporary."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended.

    Fields:
        status: the HTTP status; 0 if there was no answer.
        error_type: the function's exception, or Function Compute's error code; empty after a success.
        message: the error's message.
        reply: the function's result.
    """

    status: int
    error_type: str = ""
    message: str = ""
    reply: str = ""


class _Error(msgspec.Struct, rename={"error_type": "errorType", "error_message": "errorMessage"}):
    """The body of an error: of the function (names in camel case), or of Function Compute."""

    error_type: str = ""
    error_message: str = ""
    Code: str = ""
    Message: str = ""


class _Function(msgspec.Struct, rename="camel"):
    environment_variables: dict[str, str] = {}


class FunctionClient:
    """Calls one function at an endpoint such as https://fcv3.cn-hangzhou.aliyuncs.com."""

    def __init__(self, endpoint: str, function: str, key: AccessKey) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.function = function
        self._key = key
        self._session = requests.Session()

    def invoke(self, body: bytes) -> Outcome:
        """Invoke the function synchronously; InvocationError if nothing answers."""
        answer = self._call("POST", "InvokeFunction", "/invocations", body, {"x-fc-invocation-type": "Sync"})
        failed = answer.headers.get("x-fc-error-type")
        if answer.status_code == requests.codes.ok and not failed:
            return Outcome(answer.status_code, reply=answer.content.decode("utf-8", "replace"))
        try:
            error = msgspec.json.decode(answer.content, type=_Error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            error = _Error()
        return Outcome(
            answer.status_code,
            error.error_type or error.Code or failed or "an error without a code",
            (error.error_message or error.Message)[:TEXT_LENGTH],
        )

    def environment(self) -> Mapping[str, str] | None:
        """Return the function's environment variables; None if they can't be read. InvocationError without answer."""
        answer = self._call("GET", "GetFunction", "", b"", {})
        try:
            return msgspec.json.decode(answer.content, type=_Function).environment_variables if answer.ok else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _call(self, method: str, action: str, path: str, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        url = f"{self.endpoint}/{VERSION}/functions/{quote(self.function, safe='')}{path}"
        signed = _signed(method, urlsplit(url), action, body, self._key)
        try:
            return self._session.request(
                method,
                url,
                data=body,
                headers={**headers, **signed},
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
                auth=_as_signed,
            )
        except requests.RequestException as error:
            raise InvocationError(
                f"function {self.function} at {self.endpoint} gave no answer ({type(error).__name__})", retryable=True
            ) from error


def _as_signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep the Authorization header: without this, requests may replace it with keys of a .netrc."""
    return request


def _signed(method: str, url: SplitResult, action: str, body: bytes, key: AccessKey) -> dict[str, str]:
    """Return the headers of a request without a query, with their signature."""
    digest = hashlib.sha256(body).hexdigest()
    headers = {
        "content-type": "application/octet-stream",
        "host": url.netloc,
        "x-acs-action": action,
        "x-acs-content-sha256": digest,
        "x-acs-date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-version": VERSION,
        **({"x-acs-security-token": key.token} if key.token else {}),
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{url.path}\n\n{lines}\n{names}\n{digest}"
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key.secret.encode(), text.encode(), hashlib.sha256).hex()
    headers["authorization"] = f"{ALGORITHM} Credential={key.key_id},SignedHeaders={names},Signature={signature}"
    return headers
