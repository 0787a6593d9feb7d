"""Invokes a function synchronously with aliyun-fc2; separates retryable failures from the others."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import fc2.client
import requests
from fc2.fc_exceptions import FcError

from local_emulator.eventbridge.errors import InvocationError

CONNECT_SECONDS = 10.0
LONGEST_SECONDS = 300.0
"""An EventBridge trigger's invocation runs for five minutes at most, whatever the function's own timeout."""

SPARE_SECONDS = 60.0
"""Time for a new instance and its initializer, in addition to the function's timeout."""

MOST_SECONDS_HEADER = "x-emulator-most-seconds"
"""How long an invocation may run. Only the emulated Function Compute reads this header; the service needs none."""

REQUEST_ID = "x-fc-request-id"
OK, ACCEPTED = 200, 202
REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVER_ERROR = 408, 429, 500
TEXT_LENGTH = 4_000
"""Long enough for all faults of a configuration, which are reported together."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a successful invocation; `body` is the function's result."""

    body: bytes
    status: int
    request_id: str


class Invoker:
    """Calls one function at an endpoint of Function Compute (API 2016-08-15, which also names a service).

    A call waits as long as the function may take. With `most_seconds`, the emulated Function Compute ends the function
    after this time, as the service does for a trigger's invocations.
    """

    def __init__(
        self,
        endpoint: str,
        function: str,
        *,
        access_key_id: str,
        access_key_secret: str,
        service: str = "default",
        function_timeout: float = LONGEST_SECONDS,
        most_seconds: float | None = None,
    ) -> None:
        _silence_client()
        fc2.client.retries = 0  # the stream retries, by its own schedule
        self._name = function
        self._service = service
        self._endpoint = endpoint
        self._headers = {} if most_seconds is None else {MOST_SECONDS_HEADER: f"{most_seconds:g}"}
        longest = function_timeout if most_seconds is None else min(function_timeout, most_seconds)
        self._client = fc2.Client(
            endpoint=endpoint,
            accessKeyID=access_key_id,
            accessKeySecret=access_key_secret,
            Timeout=(CONNECT_SECONDS, longest + SPARE_SECONDS),
        )

    def __call__(self, body: bytes, *, asynchronous: bool = False) -> Answer:
        """Deliver one batch and return the answer; raises InvocationError if the invocation failed.

        An asynchronous invocation has no result: it has succeeded when Function Compute has accepted it.
        """
        headers = {"x-fc-invocation-type": "Async" if asynchronous else "Sync", **self._headers}
        try:
            answer = self._client.invoke_function(self._service, self._name, payload=body, headers=headers)
        except FcError as error:
            raise self._failure(error) from error
        except requests.exceptions.JSONDecodeError as error:
            raise InvocationError(
                f"{self._endpoint} answered with an error that isn't JSON, so Function Compute isn't at this address",
                retryable=True,
            ) from error
        except requests.RequestException as error:
            raise InvocationError(
                f"function {self._name} at {self._endpoint} gave no answer ({type(error).__name__})", retryable=True
            ) from error
        # The client doesn't tell 202 from 200.
        return Answer(answer.data, ACCEPTED if asynchronous else OK, answer.headers.get(REQUEST_ID, ""))

    def _failure(self, error: FcError) -> InvocationError:
        """Return the error of an invocation: a function's error (status 200) is retryable, most refusals aren't."""
        status: int = error.status_code
        request_id: str = error.request_id or ""
        try:
            fields = json.loads(error.message)
        except ValueError:
            fields = {}
        if status < 400:  # noqa: PLR2004 - the client raises these only for X-Fc-Error-Type
            error_type = str(fields.get("errorType", ""))
            text = f"function {self._name} failed with {error_type or 'an error'}: "
            return InvocationError(
                text + str(fields.get("errorMessage", ""))[:TEXT_LENGTH],
                retryable=True,
                status=status,
                error_type=error_type,
                request_id=request_id,
            )
        retryable = status in (REQUEST_TIMEOUT, TOO_MANY_REQUESTS) or status >= SERVER_ERROR
        refusal = f"{fields.get('ErrorCode', '')} {fields.get('ErrorMessage', '')}".strip()[:TEXT_LENGTH]
        return InvocationError(
            f"Function Compute answered {status} for function {self._name}: {refusal}",
            retryable=retryable,
            status=status,
            error_type=str(fields.get("ErrorCode", "")),
            request_id=request_id,
        )


class _ClientRecords(logging.Filter):
    """Drops the log records of fc2, which contain request headers and so signatures and tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.pathname != str(fc2.client.__file__)


_CLIENT_RECORDS = _ClientRecords()


def _silence_client() -> None:
    """Drop fc2's log records; repeated calls have no further effect."""
    logging.getLogger().addFilter(_CLIENT_RECORDS)
