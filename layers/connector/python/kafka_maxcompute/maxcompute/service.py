"""Requests to MaxCompute, signed and sent by PyODPS's client, with the deadline and the errors of this package.

Only PyODPS's client for one request is used. Its retries are off, since its tunnel layer waits for ever after status
429. Its log lines below WARNING are off as well, because they repeat request bodies and signatures.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from odps.accounts import CloudAccount
from odps.errors import ODPSError
from odps.rest import RestClient

from kafka_maxcompute.errors import BatchError, DeadlineError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Credentials, Deadline
    from kafka_maxcompute.settings.destinations import TrustedAddress

logging.getLogger("odps").setLevel(logging.WARNING)

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""The longest waits for a connection and between two packets of an answer; the deadline can shorten them."""
SHOWN_CHARACTERS = 300

_TOO_MANY, _MOVED, _SLOW, _SERVER_ERRORS = 429, 308, 408, 500
_RETRYABLE = frozenset({"FlowExceeded", "SlotExceeded", "QPSExceeded", "RequestQuotaExceeded", "ServiceUnavailable"})
_ADVICE = {
    "NoSuchProject": "check CONNECTOR_PROJECT and CONNECTOR_ENDPOINT",
    "NoSuchTable": "create the table, or fix CONNECTOR_TABLE",
    "NoSuchObject": "check CONNECTOR_PROJECT and CONNECTOR_TABLE",
    "NoPermission": (
        "grant the caller CreateInstance on the project; on the table Describe, Alter and Update, to read it Select"
    ),
    "RequestTimeTooSkewed": "the clock is wrong on one side",
}
# The service's messages with these codes repeat parts of the signature.
_UNQUOTED = frozenset({"SignatureNotMatch", "AuthorizationRequired", "Unauthorized"})


class _TemporaryAccount(CloudAccount):  # type: ignore[misc] # PyODPS has no types
    """An access key with its security token.

    PyODPS's own class for temporary keys looks for newer keys in the environment and in files; here the keys come with
    each invocation.
    """

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials.access_key_id, credentials.access_key_secret)
        self._token = credentials.security_token

    def sign_request(self, req: requests.PreparedRequest, endpoint: str, region_name: str | None = None) -> None:
        super().sign_request(req, endpoint, region_name=region_name)
        if self._token:
            req.headers["authorization-sts-token"] = self._token


class _Client(RestClient):  # type: ignore[misc] # PyODPS has no types
    """PyODPS's client without the environment's proxies, since the search for proxies takes a tenth of each request.

    It follows no redirect: the library requests would send the role's token along to any host.
    """

    @property
    def session(self) -> requests.Session:
        session: requests.Session = super().session
        session.trust_env = False
        session.max_redirects = 0
        return session


@dataclass(frozen=True, slots=True)
class Answer:
    """The service's answer to a successful request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Service:
    """One endpoint of MaxCompute for the keys of one invocation; can be used by several threads."""

    def __init__(self, endpoint: TrustedAddress, project: str, credentials: Credentials) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.project = project
        self._credentials = credentials
        self._client = _Client(_TemporaryAccount(credentials), self.endpoint, project, retry_enabled=False)

    def at(self, endpoint: TrustedAddress) -> Service:
        """Return the same service at another endpoint."""
        return Service(endpoint, self.project, self._credentials)

    def request(  # noqa: D417 # the rest is HTTP's own
        self,
        method: str,
        path: str,
        *,
        doing: str,
        deadline: Deadline,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
        quotable: bool = True,
    ) -> bytes:
        """Send one request for /projects/<project><path>, once, and return the answer's body.

        Args:
            doing: what is being done, for messages
            quotable: whether the service's text of a refusal may be repeated; False if it could quote a payload

        Raises `UnavailableError` if no answer comes or the service can't serve the request now, `RefusedError` if the
        service refuses, and `DeadlineError` if no time is left for the request.
        """
        sent = {"params": dict(params or {}), "headers": dict(headers or {}), "data": data}
        return self.exchange(method, path, doing=doing, deadline=deadline, quotable=quotable, **sent).body

    def exchange(
        self, method: str, path: str, *, doing: str, deadline: Deadline, quotable: bool = True, **sent: Any
    ) -> Answer:
        """As `request`, but return status and headers as well; `sent` has the request's params, headers and data."""
        data = sent.get("data", b"")
        remaining = deadline.remaining()
        if not remaining:
            raise DeadlineError(
                f"expected time left to {doing}, found none; give the function more time, or smaller batches"
            )
        try:
            answer = self._client.request(
                f"{self.endpoint}/projects/{self.project}{path}",
                method,
                params=sent.get("params", {}),
                headers={"Content-Length": str(len(data)), **sent.get("headers", {})},
                data=data,
                # The first number is also urllib3's limit for sending the whole body: a long body needs more time.
                timeout=(min(READ_SECONDS if data else CONNECT_SECONDS, remaining), min(READ_SECONDS, remaining)),
            )
            return Answer(answer.status_code, answer.headers, bytes(answer.content))
        except ODPSError as error:
            raise _error(error, doing, quotable=quotable) from None
        except requests.RequestException as error:
            # The error's text has the whole address, whose query can have the access key.
            raise UnavailableError(f"could not {doing}: no answer from {self.endpoint} ({_cause(error)})") from None


def _error(error: ODPSError, doing: str, *, quotable: bool) -> BatchError:
    """Return this package's error for PyODPS's; it keeps the service's code, since some codes have no PyODPS class."""
    status, code = error.status_code, str(error.code or error.status_code or type(error).__name__)
    message = f"could not {doing}: {code} (HTTP {status}, request {error.request_id})"
    sentence = "" if code in _UNQUOTED else str(error.args[0])[:SHOWN_CHARACTERS]
    if quotable and sentence:
        message += f": {sentence}"
    retryable = status is None or status in {_TOO_MANY, _MOVED, _SLOW} or status >= _SERVER_ERRORS
    if retryable or code in _RETRYABLE:
        return UnavailableError(message)
    return RefusedError(message + (f"; {_ADVICE[code]}" if code in _ADVICE else ""), code=code, said=sentence)


def _cause(error: BaseException) -> str:
    """Return the class names of an error and its causes, innermost last."""
    names: list[str] = []
    cause: Any = error
    while isinstance(cause, BaseException) and len(names) < 3:  # noqa: PLR2004 # requests wraps urllib3 wraps the system
        names.append(type(cause).__name__)
        cause = getattr(cause, "reason", None) or next(iter(cause.args), None)
    return " < ".join(names)
