"""The stream's call of a function, by the real client over HTTP."""

from __future__ import annotations

import json
import logging
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from local_emulator.eventbridge.errors import InvocationError
from local_emulator.eventbridge.invocation import Answer, Invoker
from tests.fake_function import FAILED, FakeFunction
from tests.fake_function import Answer as Served

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a-secret-of-the-emulator"


@pytest.fixture
def function() -> Iterator[FakeFunction]:
    with FakeFunction() as fake:
        yield fake


def invoker(endpoint: str, function_timeout: float = 300.0) -> Invoker:
    return Invoker(endpoint, "sink", access_key_id="an-id", access_key_secret=SECRET, function_timeout=function_timeout)


def test_a_batch_goes_synchronously_to_the_fc2_path(function: FakeFunction) -> None:
    function.answer = lambda _: Served(body=b'{"rows": 1}')
    assert invoker(function.endpoint)(b"[1]") == Answer(b'{"rows": 1}', 200, "a-request")
    assert function.paths == ["/2016-08-15/services/default/functions/sink/invocations"]
    assert function.bodies == [b"[1]"]
    assert function.headers[0]["x-fc-invocation-type"] == "Sync"
    assert function.headers[0]["authorization"].startswith("FC an-id:")


def test_the_function_s_own_failure_may_pass(function: FakeFunction) -> None:
    function.answer = lambda _: FAILED
    with pytest.raises(InvocationError, match="function sink failed with RefusedError: no table") as caught:
        invoker(function.endpoint)(b"[1]")
    assert caught.value.retryable
    assert (caught.value.status, caught.value.error_type, caught.value.request_id) == (200, "RefusedError", "a-request")
    assert len(function.bodies) == 1


def test_an_asynchronous_batch_is_accepted(function: FakeFunction) -> None:
    function.answer = lambda _: Served(202, b"")
    assert invoker(function.endpoint)(b"[1]", asynchronous=True) == Answer(b"", 202, "a-request")
    assert function.headers[0]["x-fc-invocation-type"] == "Async"


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (403, False), (404, False), (408, True), (429, True), (500, True), (502, True), (503, True)],
)
def test_the_service_s_answers_are_told_apart_and_never_retried_by_the_client(
    function: FakeFunction, status: int, retryable: bool
) -> None:
    body = json.dumps({"ErrorCode": "SomeCode", "ErrorMessage": "some words"}).encode()
    function.answer = lambda _: Served(status, body)
    with pytest.raises(InvocationError, match=f"answered {status} for function sink: SomeCode some words") as caught:
        invoker(function.endpoint)(b"[1]")
    assert caught.value.retryable is retryable
    assert len(function.bodies) == 1


@pytest.mark.parametrize("status", [404, 502])
def test_an_error_that_is_no_json_is_somebody_else_s(function: FakeFunction, status: int) -> None:
    function.answer = lambda _: Served(status, b"<html>Bad Gateway</html>")
    with pytest.raises(InvocationError, match="so Function Compute isn't at this address") as caught:
        invoker(function.endpoint)(b"[1]")
    assert caught.value.retryable


def test_nobody_there_may_pass() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(InvocationError, match=r"gave no answer \(ConnectionError\)") as caught:
            invoker(endpoint)(b"[1]")
    assert caught.value.retryable


def test_a_function_that_never_answers_is_given_up(function: FakeFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_emulator.eventbridge.invocation.SPARE_SECONDS", 0.2)
    forever = threading.Event()

    def wait(_: bytes) -> Served:
        forever.wait(30)
        return Served()

    function.answer = wait
    try:
        with pytest.raises(InvocationError, match=r"gave no answer \(ReadTimeout\)"):
            invoker(function.endpoint, function_timeout=0.1)(b"[1]")
    finally:
        forever.set()


@pytest.mark.parametrize("answer", [FAILED, Served(404, b'{"ErrorCode": "FunctionNotFound"}')])
def test_nothing_secret_is_logged(function: FakeFunction, caplog: pytest.LogCaptureFixture, answer: Served) -> None:
    """The client logs requests' headers, with their signature, through the root logger."""
    caplog.set_level(logging.INFO)
    function.answer = lambda _: answer
    with pytest.raises(InvocationError):
        invoker(function.endpoint)(b"[1]")
    assert function.headers[0]["authorization"] not in caplog.text
    assert "authorization" not in caplog.text.lower()
    logging.getLogger().info("the root logger still works")
    assert "the root logger still works" in caplog.text
