"""How long and how often a service that can't answer now is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from kafka_maxcompute.errors import UnavailableError

if TYPE_CHECKING:
    from fc_powertools.deadline import Deadline

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0
LEAST_SECONDS = 0.1
"""Waits double from the first to the longest; each is a random part of that, so that instances don't come in step.
An attempt with less than the least time left could learn nothing, and would hide why the one before failed."""


def until(deadline: Deadline) -> Retrying:
    """Attempts as long as `UnavailableError` is raised and the next wait ends before the deadline; then that error."""
    return Retrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
        stop=stop_before_delay(max(0.0, deadline.remaining() - LEAST_SECONDS)),
        reraise=True,
    )
