"""Requests to MaxCompute, signed and sent by PyODPS's own client, with our deadline and our errors.

Of PyODPS only the client that signs and sends one request is used. Its retries are off, since its tunnel layer answers
status 429 with waiting for ever; so are its log lines below WARNING, which repeat request bodies and signatures.
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
    from kafka_maxcompute.settings.destinations import Vouched

logging.getLogger("odps").setLevel(logging.WARNING)

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""The longest waits for a connection and between two packets of an answer; the deadline makes them shorter."""
SHOWN_CHARACTERS = 300

_TOO_MANY, _MOVED, _SLOW, _SERVER_ERRORS = 429, 308, 408, 500
_RETRYABLE = frozenset({"FlowExceeded", "SlotExceeded", "QPSExceeded", "RequestQuotaExceeded", "ServiceUnavailable"})
_ADVICE = {
    "NoSuchProject": "check CONNECTOR_PROJECT and CONNECTOR_ENDPOINT",
    "NoSuchTable": "create the table, or fix CONNECTOR_TABLE",
    "NoSuchObject": "check CONNECTOR_PROJECT and CONNECTOR_TABLE",
    "NoPermission": (
        "grant whoever asks CreateInstance on the project; on the table Describe, Alter and Update, to read it Select"
    ),
    "RequestTimeTooSkewed": "the clock is wrong on one side",
}
# What the service says to these repeats parts of the signature.
_UNQUOTED = frozenset({"SignatureNotMatch", "AuthorizationRequired", "Unauthorized"})


class _TemporaryAccount(CloudAccount):  # type: ignore[misc] # PyODPS has no types
    """An access key with its security token.

    PyODPS's own account of the kind looks into the environment and into files for newer keys; ours come with each
    invocation.
    """

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials.access_key_id, credentials.access_key_secret)
        self._token = credentials.security_token

    def sign_request(self, req: requests.PreparedRequest, endpoint: str, region_name: str | None = None) -> None:
        super().sign_request(req, endpoint, region_name=region_name)
        if self._token:
            req.headers["authorization-sts-token"] = self._token


class _Client(RestClient):  # type: ignore[misc] # PyODPS has no types
    """PyODPS's client, without proxies of the environment: looking for them costs a tenth of each request.

    It follows no redirect: requests would take the token of the role along to any host.
    """

    @property
    def session(self) -> requests.Session:
        session: requests.Session = super().session
        session.trust_env = False
        session.max_redirects = 0
        return session


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answers to a request that it carried out."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Service:
    """One endpoint of MaxCompute for the keys of one invocation; can be used by several threads."""

    def __init__(self, endpoint: Vouched, project: str, credentials: Credentials) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.project = project
        self._credentials = credentials
        self._client = _Client(_TemporaryAccount(credentials), self.endpoint, project, retry_enabled=False)

    def at(self, endpoint: Vouched) -> Service:
        """The same at another endpoint."""
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
        """The body of the answer to one request for /projects/<project><path>; sent once.

        Args:
            doing: what is being done, for messages
            quotable: whether what the service says to a refusal may be repeated; not where it could quote a payload

        Raises `UnavailableError` where there's no answer or one that says "not now", `RefusedError` where the answer is
        no, and `DeadlineError` where there's no time to ask.
        """
        sent = {"params": dict(params or {}), "headers": dict(headers or {}), "data": data}
        return self.exchange(method, path, doing=doing, deadline=deadline, quotable=quotable, **sent).body

    def exchange(
        self, method: str, path: str, *, doing: str, deadline: Deadline, quotable: bool = True, **sent: Any
    ) -> Answer:
        """As `request`, with the answer's status and headers; `sent` is the request's params, headers and data."""
        data = sent.get("data", b"")
        remaining = deadline.remaining()
        if not remaining:
            raise DeadlineError(
                f"expected time left to {doing}, found none; give the function more, or smaller batches"
            )
        try:
            answer = self._client.request(
                f"{self.endpoint}/projects/{self.project}{path}",
                method,
                params=sent.get("params", {}),
                headers={"Content-Length": str(len(data)), **sent.get("headers", {})},
                data=data,
                # The first of the two is urllib3's bound for sending the whole body too: a long one needs more.
                timeout=(min(READ_SECONDS if data else CONNECT_SECONDS, remaining), min(READ_SECONDS, remaining)),
            )
            return Answer(answer.status_code, answer.headers, bytes(answer.content))
        except ODPSError as error:
            raise _error(error, doing, quotable=quotable) from None
        except requests.RequestException as error:
            # Its text holds the whole address, and that the access key in the query of some signatures.
            raise UnavailableError(f"could not {doing}: no answer from {self.endpoint} ({_cause(error)})") from None


def _error(error: ODPSError, doing: str, *, quotable: bool) -> BatchError:
    """Ours for the service's; its own word for why is in `code`, as some have no class in PyODPS."""
    status, code = error.status_code, str(error.code or error.status_code or type(error).__name__)
    said = f"could not {doing}: {code} (HTTP {status}, request {error.request_id})"
    sentence = "" if code in _UNQUOTED else str(error.args[0])[:SHOWN_CHARACTERS]
    if quotable and sentence:
        said += f": {sentence}"
    retryable = status is None or status in {_TOO_MANY, _MOVED, _SLOW} or status >= _SERVER_ERRORS
    if retryable or code in _RETRYABLE:
        return UnavailableError(said)
    return RefusedError(said + (f"; {_ADVICE[code]}" if code in _ADVICE else ""), code=code, said=sentence)


def _cause(error: BaseException) -> str:
    """The names of the errors that led to one, innermost last."""
    names: list[str] = []
    cause: Any = error
    while isinstance(cause, BaseException) and len(names) < 3:  # noqa: PLR2004 # requests wraps urllib3 wraps the system
        names.append(type(cause).__name__)
        cause = getattr(cause, "reason", None) or next(iter(cause.args), None)
    return " < ".join(names)
