"""Repeats requests to a service that can't answer now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from kafka_maxcompute.errors import UnavailableError

if TYPE_CHECKING:
    from fc_powertools.deadline import Deadline

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0
LEAST_SECONDS = 0.1
"""Waits double from the first to the longest. Each wait is a random part of this time, so that instances don't repeat
in step. With less than the least time left no attempt is made: it would fail, and hide the last attempt's error."""


def until(deadline: Deadline) -> Retrying:
    """Repeat while `UnavailableError` is raised and the next wait ends before the deadline; then raise this error."""
    return Retrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
        stop=stop_before_delay(max(0.0, deadline.remaining() - LEAST_SECONDS)),
        reraise=True,
    )
