"""The event stream: consumers of one group that deliver to one function, with a state to read and to wait for."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from local_emulator.eventbridge.delivery import Delivery
from local_emulator.eventbridge.errors import StreamError
from local_emulator.eventbridge.event import element_encoder
from local_emulator.eventbridge.progress import Meter, Progress, StreamStatus
from local_emulator.eventbridge.task import DRAIN_SECONDS, Shared, Task
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_emulator.eventbridge.config import StreamConfig
    from local_emulator.eventbridge.deliveries import RecordedDelivery
    from local_emulator.eventbridge.window import Batch
    from local_emulator.kafka.topics import TopicPartition

_log = logging.getLogger(__name__)

STOPPED = (StreamStatus.READY, StreamStatus.PAUSED, StreamStatus.STARTING_FAILED, StreamStatus.RUNNING_FAILED)


WARNING_PAUSE_SECONDS = 60.0
"""The time between two warnings that no broker answers: each consumer reports this repeatedly."""


class EventStream:
    """Reads `config.topic` as group `config.group` and delivers batches through `invoke`.

    `invoke` takes the body of a batch and raises InvocationError (see invocation.py). `record` is called with each
    try and its outcome, `dead_letter` with each batch that was given up and the reason. `account_id` is written into
    the events; with `as_strings`, elements are JSON strings. `time_scale` shortens the waits between retries. With
    `recut`, records that are delivered again come in other batches.
    """

    def __init__(
        self,
        config: StreamConfig,
        invoke: Callable[[bytes], object],
        bootstrap_servers: str,
        *,
        account_id: str = "",
        as_strings: bool = False,
        record: Callable[[RecordedDelivery], None] | None = None,
        dead_letter: Callable[[Batch, str], None] | None = None,
        time_scale: float = 1.0,
        recut: bool = False,
    ) -> None:
        if config.dead_letter_arn and not dead_letter:
            raise StreamError(
                f"the trigger names a dead-letter queue, {config.dead_letter_arn}: give `dead_letter` too"
            )
        self._config = config
        self._bootstrap_servers = bootstrap_servers
        self._encode = element_encoder(config, account_id, as_strings=as_strings)
        self._meter = Meter()
        self._delivery = Delivery(config, invoke, self._meter, record, dead_letter, time_scale, recut)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._assigned: dict[Task, int] = {}
        self._topic_partitions = 0
        self._last_warning = -WARNING_PAUSE_SECONDS

    def start(self) -> None:
        """Start, or start again, at the group's committed offsets; returns at once, in state STARTING."""
        if not self._config.enabled:
            raise StreamError("the trigger has triggerEnable: false, so its stream doesn't start")
        if self._meter.state not in STOPPED:
            return
        self._join()
        try:
            self._topic_partitions = count_partitions(self._bootstrap_servers, self._config.topic)
        except BrokerError as error:
            self._meter.enter(StreamStatus.STARTING_FAILED, str(error))
            raise StreamError(f"the stream can't start: {error}") from error
        self._meter.enter(StreamStatus.STARTING)
        self._stopping = threading.Event()
        self._assigned = {}
        count = min(self._config.maximum_tasks, self._topic_partitions)
        shared = Shared(
            config=self._config,
            bootstrap_servers=self._bootstrap_servers,
            encode=self._encode,
            delivery=self._delivery,
            meter=self._meter,
            invocations=threading.Semaphore(self._config.concurrency),
            stopping=self._stopping,
            leaving=threading.Barrier(count),
            halt=self._halt,
            assigned=self._task_assigned,
            broker_error=self._broker_error,
        )
        tasks = [Task(shared) for _ in range(count)]
        self._threads = [
            threading.Thread(target=task.run, name=f"stream-task-{number}", daemon=True)
            for number, task in enumerate(tasks)
        ]
        for thread in self._threads:
            thread.start()

    def await_start(self, seconds: float) -> None:
        """Return when every topic-partition has a consumer; raises StreamError after so many seconds.

        The group doesn't rebalance after this, so records that are sent later aren't delivered twice.
        """
        deadline = time.monotonic() + seconds
        while (progress := self._meter.read()).state is not StreamStatus.RUNNING:
            _raise_if_stopped(progress)
            if time.monotonic() > deadline:
                raise StreamError(f"the stream's consumers had no topic-partitions after {seconds:.0f} s")
            with self._meter.changed:
                self._meter.changed.wait(0.1)

    def stop(self) -> None:
        """Stop; running invocations finish and are committed, all other records are delivered after the next start."""
        self._stop_in(StreamStatus.READY)

    def pause(self) -> None:
        """Stop, in state PAUSED."""
        self._stop_in(StreamStatus.PAUSED)

    def progress(self) -> Progress:
        """Return the stream's progress."""
        return self._meter.read()

    def delivered(self) -> Mapping[TopicPartition, int]:
        """Return the next offset to deliver of each topic-partition; raises StreamError if the stream has stopped."""
        progress = self._meter.read()
        _raise_if_stopped(progress)
        return progress.delivered

    def await_delivery(
        self, targets: Mapping[TopicPartition, int], seconds: float, report: Callable[[Progress], None] | None = None
    ) -> None:
        """Return when every topic-partition has reached its target, the offset after the last record of interest.

        Raises StreamError if the stream stops before, or after so many seconds without progress.
        """
        last_missing = -1
        deadline = time.monotonic() + seconds
        while True:
            progress = self._meter.read()
            if report:
                report(progress)
            missing = sum(max(0, target - progress.delivered.get(key, 0)) for key, target in targets.items())
            if not missing:
                return
            _raise_if_stopped(progress)
            if missing != last_missing:
                last_missing, deadline = missing, time.monotonic() + seconds
            elif time.monotonic() > deadline:
                raise StreamError(
                    f"the stream delivered nothing for {seconds:.0f} s, and {missing:,} records are still to come "
                    f"(state {progress.state.value}, failed invocations {progress.failed_invocations})"
                )
            with self._meter.changed:
                self._meter.changed.wait(0.1)

    def _stop_in(self, state: StreamStatus) -> None:
        self._stopping.set()
        self._join()
        if self._meter.state in (StreamStatus.STARTING, StreamStatus.RUNNING):
            self._meter.enter(state)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(2 * DRAIN_SECONDS)
        self._threads = []

    def _halt(self, state: StreamStatus, reason: str) -> None:
        """Stop all tasks, called by a task or a delivery; the first reason is kept."""
        if self._meter.state in (StreamStatus.STARTING, StreamStatus.RUNNING):
            _log.error("the stream of %s stands still (%s): %s", self._config.topic, state.value, reason)
            self._meter.enter(state, reason)
        self._stopping.set()

    def _broker_error(self, error: KafkaError) -> None:
        """Warn at times that no broker answers, called by each task's consumer; the consumers go on trying."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own code has such a name
            return
        now = time.monotonic()
        if now - self._last_warning > WARNING_PAUSE_SECONDS:
            self._last_warning = now
            _log.warning(
                "no broker answers at %s; the stream of %s goes on when one does",
                self._bootstrap_servers,
                self._config.topic,
            )

    def _task_assigned(self, task: Task, count: int) -> None:
        """Note a task's topic-partitions; the stream runs when each task has some, as a late task takes from others."""
        self._assigned[task] = count
        shares = self._assigned.values()
        is_complete = len(shares) == len(self._threads) and all(shares) and sum(shares) == self._topic_partitions
        if self._meter.state is StreamStatus.STARTING and is_complete:
            self._meter.enter(StreamStatus.RUNNING)


def _raise_if_stopped(progress: Progress) -> None:
    if progress.state in STOPPED:
        raise StreamError(f"the stream stands still ({progress.state.value}): {progress.reason or 'it was stopped'}")
