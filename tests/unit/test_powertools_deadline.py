"""The time that an invocation has left, on a clock that the test moves."""

from __future__ import annotations

import pytest

from fc_powertools.context import Context, Function
from fc_powertools.deadline import EVENTBRIDGE_LIMIT_SECONDS, UNKNOWN_TIMEOUT_SECONDS, Deadline

pytestmark = pytest.mark.quick


class Clock:
    """A clock that stands still until it's moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("timeout", "limit", "seconds"),
    [
        (60, None, 60),
        (60, EVENTBRIDGE_LIMIT_SECONDS, 60),
        (86_400, EVENTBRIDGE_LIMIT_SECONDS, 300),
        (None, 300, 300),
        (None, None, UNKNOWN_TIMEOUT_SECONDS),
    ],
)
def test_an_invocation_ends_with_the_timeout_or_the_limit(
    clock: Clock, timeout: int | None, limit: float | None, seconds: float
) -> None:
    context = Context(function=Function(timeout=timeout))
    assert Deadline.of_invocation(context, limit_seconds=limit, clock=clock).remaining() == seconds


def test_remaining_falls_to_zero_and_stays_there(clock: Clock) -> None:
    deadline = Deadline.after(10, clock)
    clock.now += 4
    assert (deadline.remaining(), deadline.expired) == (6, False)
    clock.now += 6
    assert (deadline.remaining(), deadline.expired) == (0, True)
    clock.now += 1
    assert (deadline.remaining(), deadline.expired) == (0, True)


def test_earlier_leaves_time_for_what_comes_after(clock: Clock) -> None:
    assert Deadline.after(10, clock).earlier(3).remaining() == 7
    assert Deadline.after(2, clock).earlier(3).expired


@pytest.mark.parametrize(("seconds", "remaining"), [(3, 3), (10, 10), (11, 10)])
def test_within_never_goes_beyond(clock: Clock, seconds: float, remaining: float) -> None:
    assert Deadline.after(10, clock).within(seconds).remaining() == remaining


def test_the_real_clock_runs() -> None:
    assert 0 < Deadline.after(3_600).remaining() <= 3_600
    assert Deadline.after(-1).expired
