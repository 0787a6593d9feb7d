"""EventBridge's two retry strategies, with tenacity.

The schedules are from EventBridge's page on retry policies and dead-letter queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay, wait_exponential, wait_random
from tenacity.stop import stop_never

from local_emulator.eventbridge.config import RetryLimits
from local_emulator.eventbridge.errors import InvocationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

RETRIES = {"BACKOFF_RETRY": 3, "EXPONENTIAL_DECAY_RETRY": 176}

WAITS = {
    "BACKOFF_RETRY": wait_random(10, 20),
    # 1, 2, 4, ... 512 s, then 512 s: a day in all. The half second isn't documented; it spreads batches.
    "EXPONENTIAL_DECAY_RETRY": wait_exponential(max=512) + wait_random(0, 0.5),
}

NO_LIMITS = RetryLimits()


def retrying(
    strategy: str,
    *,
    sleep: Callable[[float], None],
    before_sleep: Callable[[RetryCallState], None],
    time_scale: float = 1.0,
    limits: RetryLimits = NO_LIMITS,
) -> Retrying:
    """Return a caller that invokes until success, an error that no retry helps, or the last retry.

    The last retry is the strategy's or the limits', whichever is earlier. Waits and the limits' age are multiplied by
    `time_scale`. The last error is raised unchanged.
    """
    wait = WAITS[strategy]
    retries = min(RETRIES[strategy], limits.attempts or RETRIES[strategy])
    too_old = stop_before_delay(limits.age_seconds * time_scale) if limits.age_seconds else stop_never

    def scaled(state: RetryCallState) -> float:
        return wait(state) * time_scale

    return Retrying(
        retry=retry_if_exception(_is_retryable),
        stop=stop_after_attempt(1 + retries) | too_old,
        wait=scaled,
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, InvocationError) and error.retryable
