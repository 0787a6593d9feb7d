"""A task of the stream: a consumer on its own thread, which batches records, delivers batches and commits offsets."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from local_emulator.eventbridge import positions
from local_emulator.eventbridge.commits import CommitTracker
from local_emulator.eventbridge.delivery import InterruptedDelivery, StreamHalt
from local_emulator.eventbridge.progress import StreamStatus
from local_emulator.eventbridge.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from local_emulator.eventbridge.config import StreamConfig
    from local_emulator.eventbridge.delivery import Delivery
    from local_emulator.eventbridge.event import EncodeElement, Headers
    from local_emulator.eventbridge.progress import Meter
    from local_emulator.eventbridge.window import Batch
    from local_emulator.kafka.topics import TopicPartition

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
POLL_RECORDS = 1000
PATIENCE_SECONDS = 1.0
"""How long a task waits for a free invocation before it pauses its consumer and polls, to stay in the group."""

DRAIN_SECONDS = 30.0
"""How long a task waits for its running deliveries before it gives up its topic-partitions."""

SETTINGS = {
    "enable.auto.commit": False,
    # The service's documents don't name its consumers' isolation level. This is librdkafka's default.
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",  # positions are always explicit: a reset would hide lost records
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 16 * 1024,
    # The shortest that Kafka allows. The embedded broker waits nearly as long after a group's last member has left.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_000,
    "allow.auto.create.topics": False,
    "log_level": 0,
}

TRANSIENT = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes have such names
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
}
"""Errors from which librdkafka recovers by itself when the broker is available again."""

LOST = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001
"""Errors that mean that the log no longer has the consumer's next offset."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The configuration, objects and callbacks that all tasks of one run of a stream share."""

    config: StreamConfig
    bootstrap_servers: str
    encode: EncodeElement
    delivery: Delivery
    meter: Meter
    invocations: threading.Semaphore
    """Limits the number of concurrent invocations."""
    stopping: threading.Event
    leaving: threading.Barrier
    """A task waits here after its last commit until all tasks have committed; then all leave the group."""
    halt: Callable[[StreamStatus, str], None]
    """Stops the whole stream, and sets its state and reason."""
    assigned: Callable[[Task, int], None]
    """Called with a task and its new number of topic-partitions, after each change."""
    broker_error: Callable[[KafkaError], None]
    """Called with each connection error of a consumer."""


class Task:
    """A task: one consumer of the stream's group; `run` returns when the stream stops."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._consumer = Consumer(
            {
                "bootstrap.servers": shared.bootstrap_servers,
                "group.id": shared.config.group,
                "error_cb": shared.broker_error,
                **SETTINGS,
            }
        )
        self._numbers = itertools.count()
        self._polled_while_paused: list[Message] = []
        self._closing = False
        self._begin_assignment()

    def _begin_assignment(self) -> None:
        """Replace the state of the former topic-partitions.

        Methods compare the window object with an earlier one to find out whether the topic-partitions have changed.
        """
        config = self._shared.config
        first = random.randint(1, config.batch_count) if self._shared.delivery.recut else None  # noqa: S311 # any will do
        self._window = Window(config.batch_count, config.batch_seconds, config.body_bytes, first_count=first)
        self._commits = CommitTracker()
        self._uncommitted: dict[TopicPartition, int] = {}
        self._finished: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self._in_flight = 0
        self._cancelled = threading.Event()

    def run(self) -> None:
        """Consume and deliver until the stream stops; a failure stops the stream, with the failure as reason."""
        try:
            self._consumer.subscribe(
                [self._shared.config.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
            )
            while not self._shared.stopping.is_set():
                self._step()
        except StreamHalt as halt:
            self._shared.halt(halt.state, str(halt))
        except KafkaException as error:
            self._shared.halt(
                StreamStatus.RUNNING_FAILED, f"Kafka refused the stream's consumer: {error.args[0].str()}"
            )
        except Exception as error:  # noqa: BLE001 - after any error, the stream mustn't continue without this task
            _log.exception("a task of the stream failed")
            self._shared.halt(StreamStatus.RUNNING_FAILED, f"a task failed: {type(error).__name__}: {error}")
        finally:
            self._drain()
            self._closing = True
            # When the first task leaves, the group rebalances. Then the broker would refuse the other tasks' commits.
            with contextlib.suppress(threading.BrokenBarrierError):
                self._shared.leaving.wait(DRAIN_SECONDS)
            self._close()

    def _close(self) -> None:
        """Leave the group and close the consumer; log an error, which an unfinished request can cause."""
        try:
            self._consumer.close()
        except KafkaException as error:
            _log.info("the stream's consumer, while it closed: %s", error.args[0].str())
        except:  # noqa: E722 # confluent-kafka also raises KafkaError, which isn't an exception
            raised: object = sys.exc_info()[1]
            if not isinstance(raised, KafkaError):
                raise
            _log.info("the stream's consumer, while it closed: %s", raised.str())

    def _step(self) -> None:
        self._commit_finished()
        if self._window.is_due(time.monotonic()):
            self._dispatch()
        already_polled, self._polled_while_paused = self._polled_while_paused, []
        messages = already_polled or self._consumer.consume(POLL_RECORDS, POLL_SECONDS)
        window = self._window
        for message in messages:
            self._add_to_window(message)
            if self._window is not window:
                return  # after a rebalance, the topic-partitions' new owners fetch the other messages again

    def _add_to_window(self, message: Message) -> None:
        error, topic, partition, offset = message.error(), message.topic(), message.partition(), message.offset()
        if error is not None or topic is None or partition is None or offset is None:
            self._halt_unless_transient(error, topic, partition)
            return
        _, timestamp = message.timestamp()
        headers = cast("Headers | None", message.headers())  # a list of pairs, though the annotation allows more
        event = self._shared.encode(topic, partition, offset, timestamp, message.key(), message.value(), headers)
        window = self._window
        if event is None:
            window.skip((topic, partition), offset)
            return
        if not window.fits(event):
            self._dispatch()
        if self._window is window:
            window.add(event, (topic, partition), offset, time.monotonic())
            if window.has_count():
                self._dispatch()

    def _halt_unless_transient(self, error: KafkaError | None, topic: str | None, partition: int | None) -> None:
        """Log an error from which librdkafka recovers; raise StreamHalt for any other error."""
        if error is None or error.code() in TRANSIENT or error.retriable():
            _log.warning("the stream's consumer: %s", error)
        elif error.code() in LOST:
            reason = positions.lost_records(topic or self._shared.config.topic, partition or 0, error.str())
            raise StreamHalt(StreamStatus.RUNNING_FAILED, reason)
        else:
            raise StreamHalt(StreamStatus.RUNNING_FAILED, f"the broker refused the stream's consumer: {error.str()}")

    def _dispatch(self) -> None:
        """Wait for a free invocation, then close the batch and deliver it on a new thread, if it has events."""
        if len(self._window) and not self._acquire_invocation():
            return
        batch, number = self._window.take(), next(self._numbers)
        self._commits.dispatched(number, batch.ranges)
        self._in_flight += 1
        if not batch.count:
            self._finished.put((number, True))
            return
        threading.Thread(
            target=self._deliver, args=(batch, number, self._cancelled, self._finished), daemon=True
        ).start()

    def _acquire_invocation(self) -> bool:
        """Wait for a free invocation; return False if the stream stops or the topic-partitions change during the wait.

        After `PATIENCE_SECONDS` the consumer is paused and polled; otherwise the group would remove the consumer.
        """
        window, paused, acquired = self._window, False, False
        pause_at = time.monotonic() + PATIENCE_SECONDS
        while self._window is window and not self._shared.stopping.is_set():
            if self._shared.invocations.acquire(timeout=POLL_SECONDS):
                acquired = not self._shared.stopping.is_set()  # a failed delivery stops the stream before it releases
                if not acquired:
                    self._shared.invocations.release()
                break
            self._commit_finished()
            if not paused and time.monotonic() > pause_at:
                self._consumer.pause(self._consumer.assignment())
                paused = True
            message = self._consumer.poll(0) if paused else None
            if message is not None:  # an error, or a record of a newly assigned topic-partition, which isn't paused
                self._polled_while_paused.append(message)
        if paused:
            self._consumer.resume(self._consumer.assignment())
        return acquired

    def _deliver(
        self,
        batch: Batch,
        number: int,
        cancelled: threading.Event,
        finished: queue.SimpleQueue[tuple[int, bool]],
    ) -> None:
        """Deliver a batch, and report to the task's thread, which commits, whether the batch succeeded.

        A batch that was given up with tolerance ALL has succeeded, too.
        """
        succeeded = False
        try:
            self._shared.delivery.deliver(batch, cancelled)
            succeeded = True
        except StreamHalt as halt:
            self._shared.halt(halt.state, str(halt))
        except InterruptedDelivery:
            _log.info("%s stays undelivered: the stream stops, or the topic-partitions moved", batch)
        except Exception as error:  # noqa: BLE001 - after any error, no offset after this batch may be committed
            _log.exception("delivering %s failed in a way that isn't the function's", batch)
            self._shared.halt(
                StreamStatus.RUNNING_FAILED, f"delivering {batch} failed: {type(error).__name__}: {error}"
            )
        finally:
            finished.put((number, succeeded))
            self._shared.invocations.release()

    def _commit_finished(self, wait_seconds: float = 0.0) -> None:
        """Commit the offsets of batches that succeeded since the last call; wait up to `wait_seconds` for the first."""
        wait = wait_seconds > 0
        try:
            while True:
                number, succeeded = self._finished.get(block=wait, timeout=wait_seconds or None)
                wait = False
                self._in_flight -= 1
                if succeeded:
                    self._uncommitted.update(self._commits.finished(number))
        except queue.Empty:
            pass
        if not self._uncommitted:
            return
        offsets = [Place(*key, offset) for key, offset in self._uncommitted.items()]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            _log.warning("a commit failed and is tried again: %s", error.args[0].str())
            return
        failed = {(place.topic, place.partition) for place in results or () if place.error is not None}
        self._shared.meter.advanced({key: at for key, at in self._uncommitted.items() if key not in failed})
        self._uncommitted = {key: at for key, at in self._uncommitted.items() if key in failed}

    def _drain(self) -> None:
        """Wait for running invocations, without another try of a failed one, and commit the batches that succeeded."""
        self._cancelled.set()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._in_flight and time.monotonic() < deadline:
            self._commit_finished(POLL_SECONDS)
        self._commit_finished()

    def _assign(self, consumer: Consumer, assigned: list[Place]) -> None:
        begin = positions.resolve(consumer, assigned, self._shared.config.offset_reset)
        consumer.assign(begin)
        self._shared.meter.advanced({(place.topic, place.partition): place.offset for place in begin})
        self._shared.assigned(self, len(begin))

    def _revoke(self, _consumer: Consumer, _revoked: list[Place]) -> None:
        if not self._closing:
            self._drain()
            self._shared.assigned(self, 0)
            self._begin_assignment()

    def _lose(self, _consumer: Consumer, _lost: list[Place]) -> None:
        """Drop topic-partitions that went to another consumer, which delivers their unfinished batches again."""
        self._cancelled.set()
        self._shared.assigned(self, 0)
        self._begin_assignment()
