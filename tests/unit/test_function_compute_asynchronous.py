"""Function Compute's own retries of asynchronous invocations."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.function_compute.asynchronous import (
    NO_CONFIGURATION,
    AsynchronousInvocations,
    AsynchronousLimits,
)
from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.instances import InvocationOutcome
from local_emulator.function_compute.pool import ExhaustedError

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.quick

GOOD = InvocationOutcome(b"ok", None, 1.0, 1.0, b"", "c-1")
BAD = InvocationOutcome(b"", "UnhandledInvocationError", 1.0, 1.0, b"", "c-1")
BUSY = ExhaustedError()


class Stopping(threading.Event):
    """Notes the waits between tries, and lets no time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


def run(
    results: Iterable[Any], *, stopping: Stopping | None = None, limits: AsynchronousLimits = NO_CONFIGURATION
) -> tuple[int, list[float]]:
    """The number of tries, and the waits between them; `results` are what the tries return or raise."""
    stopping = stopping or Stopping()
    coming, tries = iter(results), 0

    def invoke() -> InvocationOutcome:
        nonlocal tries
        tries += 1
        result = next(coming)
        if isinstance(result, Exception):
            raise result
        outcome: InvocationOutcome = result
        return outcome

    AsynchronousInvocations(stopping=stopping).run("demo", "1-a", invoke, limits)
    return tries, stopping.waits


def test_a_success_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    assert run([GOOD]) == (1, [])
    assert run([BAD, GOOD]) == (2, [0.5])
    assert caplog.text == ""


def test_a_functions_error_is_retried_three_times(caplog: pytest.LogCaptureFixture) -> None:
    assert run([BAD] * 9) == (4, [0.5, 1.0, 2.0])
    assert "demo: asynchronous invocation 1-a dropped: 4 tries failed" in caplog.text


def test_an_invocation_waits_for_a_free_instance() -> None:
    tries, waits = run([BUSY] * 12 + [BAD, BUSY, GOOD])
    assert tries == 15
    assert waits[:11] == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert waits[12:] == [0.5, 0.5], "the function's error, and being busy anew"


def test_a_configuration_has_other_limits(caplog: pytest.LogCaptureFixture) -> None:
    assert run([BAD] * 9, limits=AsynchronousLimits(retries=0)) == (1, [])
    assert "dropped: 1 tries failed" in caplog.text
    assert run([BAD] * 9, limits=AsynchronousLimits(retries=8)) == (9, [0.5 * 2**number for number in range(8)])
    assert run([BAD] * 9, limits=AsynchronousLimits(retries=8, seconds=2)) == (3, [0.5, 1.0]), "2 s would be too late"


def test_without_a_free_instance_it_is_dropped_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    assert run([BUSY] * 99, limits=AsynchronousLimits(seconds=5)) == (5, [0.5, 1.0, 2.0, 4.0]), (
        "another wait of 8 s would end after 5 s"
    )
    assert "dropped: no instance was free" in caplog.text


def test_a_refusal_and_a_stop_end_it(caplog: pytest.LogCaptureFixture) -> None:
    assert run([FunctionComputeError(403, "AccessDenied", "the role can't be assumed")]) == (1, [])
    assert "dropped: the role can't be assumed" in caplog.text
    stopping = Stopping()
    stopping.set()
    assert run([BUSY] * 9, stopping=stopping) == (1, [0.5])
    assert "dropped: the function is stopped" in caplog.text
