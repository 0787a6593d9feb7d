"""A batch's way to the function: retried, halted or interrupted."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import tenacity

from local_emulator.eventbridge.config import RetryLimits
from local_emulator.eventbridge.delivery import Delivery, InterruptedDelivery, StreamHalt
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.eventbridge.invocation import Answer
from local_emulator.eventbridge.progress import Meter, StreamStatus
from local_emulator.eventbridge.retry import NO_LIMITS, retrying
from local_emulator.eventbridge.window import BODY_BYTES, Batch
from tests.stream_settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.eventbridge.deliveries import RecordedDelivery

pytestmark = pytest.mark.quick

BATCH = Batch(b"[1]", 1, {("orders", 0): (5, 6)})


class Function:
    """Fails so many times, then succeeds; remembers what it was given."""

    def __init__(self, failures: int, *, retryable: bool = True) -> None:
        self.bodies: list[bytes] = []
        self._failures = failures
        self._retryable = retryable

    def __call__(self, body: bytes) -> Answer:
        self.bodies.append(body)
        if len(self.bodies) <= self._failures:
            number = len(self.bodies)
            raise InvocationError(f"failure {number}", retryable=self._retryable, status=200, error_type="SomeError")
        return Answer(b"ok", 200, "1-request")


def delivery(
    function: Callable[[bytes], object], *, dead_letter: Callable[[Batch, str], None] | None = None, **changes: Any
) -> tuple[Delivery, list[RecordedDelivery]]:
    recorded: list[RecordedDelivery] = []
    return Delivery(settings(**changes), function, Meter(), recorded.append, dead_letter, 0.0), recorded


def waits(strategy: str, *, time_scale: float = 1.0, limits: RetryLimits = NO_LIMITS) -> list[float]:
    """The waits between the tries of an invocation that never succeeds."""
    slept: list[float] = []
    function = Function(failures=1000)
    attempts = retrying(strategy, sleep=slept.append, before_sleep=lambda _: None, time_scale=time_scale, limits=limits)
    with pytest.raises(InvocationError) as caught:
        attempts(function, b"")
    assert str(caught.value) == f"failure {len(slept) + 1}"
    assert len(function.bodies) == len(slept) + 1
    return slept


def test_backoff_retries_three_times_10_to_20_s_apart() -> None:
    slept = waits("BACKOFF_RETRY")
    assert len(slept) == 3
    assert all(10 <= wait <= 20 for wait in slept)


def test_exponential_decay_retries_176_times_within_a_day() -> None:
    slept = waits("EXPONENTIAL_DECAY_RETRY")
    expected = [2.0**exponent for exponent in range(9)] + [512.0] * 167
    assert len(slept) == 176
    assert all(exact <= wait <= exact + 0.5 for exact, wait in zip(expected, slept, strict=True))
    assert 86_000 < sum(expected) < 86_400


def test_the_time_scale_shortens_all_waits() -> None:
    assert all(0.1 <= wait <= 0.2 for wait in waits("BACKOFF_RETRY", time_scale=0.01))


def test_a_number_of_retries_ends_them_before_the_strategy_does() -> None:
    assert len(waits("EXPONENTIAL_DECAY_RETRY", limits=RetryLimits(attempts=5))) == 5
    assert len(waits("BACKOFF_RETRY", limits=RetryLimits(attempts=5))) == 3, "the strategy has no more"


def test_no_retry_begins_after_the_age() -> None:
    assert waits("BACKOFF_RETRY", limits=RetryLimits(age_seconds=9)) == [], "its first wait is 10 s at least"
    assert len(waits("BACKOFF_RETRY", limits=RetryLimits(age_seconds=21), time_scale=0.5)) == 3


def test_a_failure_that_passes_is_retried_with_the_same_bytes() -> None:
    function = Function(failures=2)
    deliver, recorded = delivery(function)
    deliver.deliver(BATCH, threading.Event())
    assert function.bodies == [BATCH.body] * 3
    assert [(one.attempt, one.status, one.error_type, one.message, one.reply) for one in recorded] == [
        (1, 200, "SomeError", "failure 1", ""),
        (2, 200, "SomeError", "failure 2", ""),
        (3, 200, "", "", "ok"),
    ]
    assert {(one.body, one.events, one.records) for one in recorded} == {("[1]", 1, "orders-0 offsets 5 to 5")}
    assert recorded[2].request_id == "1-request"
    progress = deliver.meter.read()
    assert (progress.batches, progress.events, progress.failed_invocations) == (1, 1, 2)


def test_a_retry_may_cut_the_events_into_other_batches() -> None:
    events = [f'{{"data":{{"topic":"orders","partition":0,"offset":{offset}}}}}'.encode() for offset in range(20)]
    batch = Batch(b"[" + b",".join(events) + b"]", 20, {("orders", 0): (0, 20)})
    function = Function(failures=3)
    deliver = Delivery(settings(), function, Meter(), None, None, 0.0, recut=True)
    deliver.deliver(batch, threading.Event())
    [first, second, third, *last] = function.bodies
    assert first == batch.body
    assert batch.body.startswith(second[:-1])
    assert batch.body.startswith(third[:-1])
    assert 2 <= len(last) <= 4
    assert [event for body in last for event in json.loads(body)] == json.loads(batch.body)
    assert len({len(first), len(second), len(third), len(last[0])}) > 2, "each try cuts elsewhere"


def test_tolerance_none_lets_the_stream_fall_back_to_ready() -> None:
    function = Function(failures=99)
    deliver, recorded = delivery(function)
    with pytest.raises(StreamHalt, match=r"orders-0 offsets 5 to 5.* isn't committed.*failure 4") as caught:
        deliver.deliver(BATCH, threading.Event())
    assert caught.value.state is StreamStatus.READY
    assert len(function.bodies) == 4
    assert [one.error_type for one in recorded] == ["SomeError"] * 4


def test_tolerance_all_makes_a_dead_letter() -> None:
    letters: list[tuple[Batch, str]] = []
    deliver, recorded = delivery(
        Function(failures=99), errors_tolerance="ALL", dead_letter=lambda batch, reason: letters.append((batch, reason))
    )
    deliver.deliver(BATCH, threading.Event())
    assert letters == [(BATCH, "all tries failed, the last: failure 4")]
    assert len(recorded) == 4
    assert (deliver.meter.read().dead_letters, deliver.meter.read().batches) == (1, 0)


def test_tolerance_all_without_a_queue_drops_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    deliver, _ = delivery(Function(failures=99), errors_tolerance="ALL")
    deliver.deliver(BATCH, threading.Event())
    assert "orders-0 offsets 5 to 5) was dropped" in caplog.text
    assert deliver.meter.read().dead_letters == 1


@pytest.mark.parametrize("tolerance", ["NONE", "ALL"])
def test_a_refusal_isn_t_retried_and_stops_the_stream(tolerance: str) -> None:
    function = Function(failures=1, retryable=False)
    deliver, _ = delivery(function, errors_tolerance=tolerance)
    with pytest.raises(StreamHalt) as caught:
        deliver.deliver(BATCH, threading.Event())
    assert caught.value.state is StreamStatus.STARTING_FAILED
    assert len(function.bodies) == 1


def test_a_body_over_the_limit_isn_t_sent_at_all() -> None:
    function = Function(failures=0)
    deliver, _ = delivery(function)
    with pytest.raises(StreamHalt, match="33,554,433 bytes is over the 33,554,432"):
        deliver.deliver(Batch(b"x" * (BODY_BYTES + 1), 1, BATCH.ranges), threading.Event())
    assert function.bodies == []


def test_a_stop_ends_the_wait_for_the_next_try() -> None:
    cancelled = threading.Event()
    cancelled.set()
    deliver, recorded = delivery(Function(failures=1))
    with pytest.raises(InterruptedDelivery):
        deliver.deliver(BATCH, cancelled)
    assert [one.attempt for one in recorded] == [1]


def test_an_error_of_another_kind_isn_t_retried() -> None:
    attempts = retrying("BACKOFF_RETRY", sleep=lambda _: None, before_sleep=lambda _: None)
    assert isinstance(attempts, tenacity.Retrying)
    with pytest.raises(ZeroDivisionError):
        attempts(lambda: 1 / 0)
    assert attempts.statistics["attempt_number"] == 1
