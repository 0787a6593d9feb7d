"""Delivers one batch: invokes the function, retries, and after the last failure applies the error tolerance."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any

from local_emulator.eventbridge import elements
from local_emulator.eventbridge.deliveries import RecordedDelivery
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.eventbridge.invocation import Answer
from local_emulator.eventbridge.progress import Meter, StreamStatus
from local_emulator.eventbridge.retry import retrying

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from tenacity import RetryCallState

    from local_emulator.eventbridge.config import StreamConfig
    from local_emulator.eventbridge.window import Batch

_log = logging.getLogger(__name__)


class StreamHalt(Exception):  # noqa: N818 - a decision, not an error of the emulator
    """The stream has to stop, with this state and this reason."""

    def __init__(self, state: StreamStatus, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class InterruptedDelivery(Exception):  # noqa: N818 - nothing is wrong with the batch
    """While a batch waited for its next try, the stream was stopped or the consumer lost the topic-partitions."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers the batches of one stream; `record` is called with each try, `dead_letter` with given-up batches."""

    config: StreamConfig
    invoke: Callable[[bytes], object]
    meter: Meter
    record: Callable[[RecordedDelivery], None] | None
    dead_letter: Callable[[Batch, str], None] | None
    time_scale: float
    recut: bool = False
    """Whether records that are delivered again come in other batches than before: at a retry, and after a restart."""

    def deliver(self, batch: Batch, cancelled: threading.Event) -> None:
        """Return when the batch is delivered, or given up with tolerance ALL.

        Raises StreamHalt if the stream has to stop, and InterruptedDelivery if `cancelled` is set between tries.
        """
        most = self.config.body_bytes
        if len(batch.body) > most:
            self._give_up(batch, f"its body of {len(batch.body):,} bytes is over the {most:,} that are allowed")
            return

        def sleep(seconds: float) -> None:
            if cancelled.wait(seconds):
                raise InterruptedDelivery

        def warn(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            _log.warning("try %d of %s failed: %s", state.attempt_number, batch, error)

        attempts = retrying(
            self.config.retry_strategy,
            sleep=sleep,
            before_sleep=warn,
            time_scale=self.time_scale,
            limits=self.config.retry_limits,
        )
        numbers = itertools.count(1)
        try:
            attempts(lambda: self._try(batch, next(numbers)))
        except InvocationError as error:
            if not error.retryable:
                raise StreamHalt(StreamStatus.STARTING_FAILED, f"{error}; nothing of {batch} is committed") from error
            self._give_up(batch, f"all tries failed, the last: {error}")
            return
        self.meter.settled(batch, as_dead_letter=False)

    def _try(self, batch: Batch, attempt: int) -> None:
        for piece in elements.recut(batch, attempt) if self.recut and attempt > 1 else [batch]:
            self._invoke(piece, attempt)

    def _invoke(self, batch: Batch, attempt: int) -> None:
        begun, time = monotonic(), datetime.now(timezone.utc)
        outcome: dict[str, Any] = {}
        try:
            answer = self.invoke(batch.body)
            if isinstance(answer, Answer):
                reply = answer.body.decode("utf-8", "replace")
                outcome = {"status": answer.status, "request_id": answer.request_id, "reply": reply}
        except InvocationError as error:
            self.meter.count("failed_invocations")
            names = ("status", "error_type", "request_id")
            outcome = {"message": str(error), **{name: getattr(error, name) for name in names}}
            raise
        finally:
            if self.record:
                delivery = RecordedDelivery(
                    time=time,
                    attempt=attempt,
                    asynchronous=self.config.asynchronous,
                    seconds=round(monotonic() - begun, 6),
                    events=batch.count,
                    records=batch.records,
                    body=batch.body.decode(),
                    **outcome,
                )
                self.record(delivery)

    def _give_up(self, batch: Batch, reason: str) -> None:
        """With tolerance NONE, stop the stream; with ALL, make the batch a dead letter, or without a queue drop it."""
        if self.config.errors_tolerance == "NONE":
            raise StreamHalt(StreamStatus.READY, f"{batch} couldn't be delivered and isn't committed: {reason}")
        if self.dead_letter:
            self.dead_letter(batch, reason)
        _log.error("%s %s: %s", batch, "became a dead letter" if self.dead_letter else "was dropped", reason)
        self.meter.settled(batch, as_dead_letter=True)
