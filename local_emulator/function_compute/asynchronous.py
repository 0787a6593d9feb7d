"""Asynchronous invocations, as Function Compute carries them out after it has accepted them.

Figures from the service's page on errors of asynchronous invocations (April 2026): a function's error is retried three
times; while no instance is free, the invocation waits, from 0.5 s on and for five hours at most. A function's
asynchronous configuration sets other limits. Assumed: both waits double up to five minutes. What fails in the end is
dropped, because destinations aren't emulated.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
)

from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.pool import ExhaustedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

    from local_emulator.function_compute.instances import InvocationOutcome

_log = logging.getLogger(__name__)

RETRIES = 3
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 300.0
PATIENCE_SECONDS = 5 * 3600.0


@dataclass(frozen=True, slots=True)
class AsynchronousLimits:
    """The number of retries after a function's error, and the longest time from the request to the last try's begin."""

    retries: int = RETRIES
    seconds: float = PATIENCE_SECONDS


NO_CONFIGURATION = AsynchronousLimits()


class _StoppedError(Exception):
    """The runner stops, so an invocation that waits for its next try is dropped."""


@dataclass(frozen=True, slots=True)
class AsynchronousInvocations:
    """Carries invocations out, with retries; `time_scale` multiplies all waits."""

    time_scale: float = 1.0
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(
        self,
        function: str,
        request_id: str,
        invoke: Callable[[], InvocationOutcome],
        limits: AsynchronousLimits = NO_CONFIGURATION,
    ) -> None:
        """Call `invoke` until it succeeds or the last retry has failed; log an invocation that is dropped."""
        try:
            self._with_retries(invoke, limits)
        except RetryError as error:
            outcome = error.last_attempt
            reason = "no instance was free" if outcome.failed else f"{outcome.attempt_number} tries failed"
        except FunctionComputeError as error:
            reason = error.message
        except _StoppedError:
            reason = "the function is stopped"
        else:
            return
        _log.warning("%s: asynchronous invocation %s dropped: %s", function, request_id, reason)

    def _with_retries(self, invoke: Callable[[], InvocationOutcome], limits: AsynchronousLimits) -> None:
        too_late = stop_before_delay(limits.seconds * self.time_scale)
        waiting = Retrying(
            retry=retry_if_exception_type(ExhaustedError),
            stop=too_late,
            wait=self._wait,
            sleep=self._sleep,
        )
        repeating = Retrying(
            retry=retry_if_result(lambda outcome: outcome.error_type is not None),
            stop=stop_after_attempt(1 + limits.retries) | too_late,
            wait=self._wait,
            sleep=self._sleep,
        )
        repeating(waiting, invoke)

    def _wait(self, state: RetryCallState) -> float:
        wait = wait_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS)
        return wait(state) * self.time_scale

    def _sleep(self, seconds: float) -> None:
        if self.stopping.wait(seconds):
            raise _StoppedError
