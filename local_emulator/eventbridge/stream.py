"""The event stream: consumers of one group that feed one function, with a state that can be watched and waited for."""

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
    from local_emulator.eventbridge.window import Batch
    from local_emulator.kafka.topics import TopicPartition

_LOG = logging.getLogger(__name__)

STANDING = (StreamStatus.READY, StreamStatus.PAUSED, StreamStatus.STARTING_FAILED, StreamStatus.RUNNING_FAILED)


SILENT_SECONDS = 60.0
"""Between two warnings that no broker answers: each of the consumers reports it, and again and again."""


class EventStream:
    """Reads `config.topic` as group `config.group` and delivers batches through `invoke`.

    `invoke` takes the body of a batch and raises InvocationError (see invocation.py). `record` is given each batch
    after its delivery; `dead_letter` each batch that was given up, with the reason. `account_id` goes into the events;
    `as_strings` makes their elements JSON strings. `time_scale` shortens the waits between retries.
    """

    def __init__(
        self,
        config: StreamConfig,
        invoke: Callable[[bytes], object],
        bootstrap_servers: str,
        *,
        account_id: str = "",
        as_strings: bool = False,
        record: Callable[[Batch], None] | None = None,
        dead_letter: Callable[[Batch, str], None] | None = None,
        time_scale: float = 1.0,
    ) -> None:
        if config.dead_letter_arn and not dead_letter:
            raise StreamError(
                f"the trigger names a dead-letter queue, {config.dead_letter_arn}: give `dead_letter` too"
            )
        self._config = config
        self._bootstrap_servers = bootstrap_servers
        self._encode = element_encoder(config, account_id, as_strings=as_strings)
        self._meter = Meter()
        self._delivery = Delivery(config, invoke, self._meter, record, dead_letter, time_scale)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._assigned: dict[Task, int] = {}
        self._topic_partitions = 0
        self._broker_missed = -SILENT_SECONDS

    def start(self) -> None:
        """Start, or start again, from the group's commits; returns at once, in state STARTING."""
        if not self._config.enabled:
            raise StreamError("the trigger has triggerEnable: false, so its stream doesn't start")
        if self._meter.state not in STANDING:
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
        """Return when every topic-partition has its consumer; StreamError if that takes longer.

        Records that are sent after it meet no rebalance of the group, so none of them is delivered twice.
        """
        deadline = time.monotonic() + seconds
        while (progress := self._meter.read()).state is not StreamStatus.RUNNING:
            _raise_if_standing(progress)
            if time.monotonic() > deadline:
                raise StreamError(f"the stream's consumers had no topic-partitions after {seconds:.0f} s")
            with self._meter.changed:
                self._meter.changed.wait(0.1)

    def stop(self) -> None:
        """Stop; invocations under way may finish and are committed, everything else is delivered at the next start."""
        self._stand(StreamStatus.READY)

    def pause(self) -> None:
        """The same as `stop`, in state PAUSED."""
        self._stand(StreamStatus.PAUSED)

    def progress(self) -> Progress:
        """How far the stream is."""
        return self._meter.read()

    def delivered(self) -> Mapping[TopicPartition, int]:
        """The next offset to deliver of each topic-partition; StreamError if the stream stands still."""
        progress = self._meter.read()
        _raise_if_standing(progress)
        return progress.delivered

    def await_delivery(
        self, targets: Mapping[TopicPartition, int], seconds: float, report: Callable[[Progress], None] | None = None
    ) -> None:
        """Return when every topic-partition has got to its target, the offset after the last record of interest.

        StreamError if the stream stops before, or after so many seconds without any progress.
        """
        reached = -1
        deadline = time.monotonic() + seconds
        while True:
            progress = self._meter.read()
            if report:
                report(progress)
            missing = sum(max(0, target - progress.delivered.get(key, 0)) for key, target in targets.items())
            if not missing:
                return
            _raise_if_standing(progress)
            if missing != reached:
                reached, deadline = missing, time.monotonic() + seconds
            elif time.monotonic() > deadline:
                raise StreamError(
                    f"the stream delivered nothing for {seconds:.0f} s, and {missing:,} records are still to come "
                    f"(state {progress.state.value}, failed invocations {progress.failed_invocations})"
                )
            with self._meter.changed:
                self._meter.changed.wait(0.1)

    def _stand(self, state: StreamStatus) -> None:
        self._stopping.set()
        self._join()
        if self._meter.state in (StreamStatus.STARTING, StreamStatus.RUNNING):
            self._meter.enter(state)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(2 * DRAIN_SECONDS)
        self._threads = []

    def _halt(self, state: StreamStatus, reason: str) -> None:
        """Called by a task or a delivery: the first reason counts, and all tasks stop."""
        if self._meter.state in (StreamStatus.STARTING, StreamStatus.RUNNING):
            _LOG.error("the stream of %s stands still (%s): %s", self._config.topic, state.value, reason)
            self._meter.enter(state, reason)
        self._stopping.set()

    def _broker_error(self, error: KafkaError) -> None:
        """Called by every task's consumer: say once in a while that no broker answers; the consumers go on trying."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - so is the name of librdkafka's own code
            return
        now = time.monotonic()
        if now - self._broker_missed > SILENT_SECONDS:
            self._broker_missed = now
            _LOG.warning(
                "no broker answers at %s; the stream of %s goes on when one does",
                self._bootstrap_servers,
                self._config.topic,
            )

    def _task_assigned(self, task: Task, count: int) -> None:
        """Called by a task: the stream runs when each has a share, for one that joins later takes from others."""
        self._assigned[task] = count
        shares = self._assigned.values()
        whole = len(shares) == len(self._threads) and all(shares) and sum(shares) == self._topic_partitions
        if self._meter.state is StreamStatus.STARTING and whole:
            self._meter.enter(StreamStatus.RUNNING)


def _raise_if_standing(progress: Progress) -> None:
    if progress.state in STANDING:
        raise StreamError(f"the stream stands still ({progress.state.value}): {progress.reason or 'it was stopped'}")
