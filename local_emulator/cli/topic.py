"""Reads the source topic of a running cloud: the lag of the stream's group, and a batch of the topic's records."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from local_emulator.eventbridge.event import element_encoder
from local_emulator.eventbridge.window import Window
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.log_ends import log_ends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_emulator.endpoints import Endpoints
    from local_emulator.eventbridge.event import Headers
    from local_emulator.eventbridge.window import Batch

ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the group is in one topic-partition.

    `end` is the offset of the next record that a producer sends, `committed` of the next record to deliver.
    """

    partition: int
    end: int
    committed: int

    @property
    def behind(self) -> int | None:
        """The number of records that are still to be delivered; None if the log ends before `committed`."""
        return self.end - self.committed if self.end >= self.committed else None

    def describe_loss(self, topic: str) -> str:
        """Return a sentence if the log ends before `committed`, "" otherwise."""
        if self.behind is not None:
            return ""
        return (
            f"{topic}-{self.partition}: its log ends at {self.end}, but offsets before {self.committed} are delivered "
            "already; the broker has lost records, or the topic was created again"
        )


def lags(at: Endpoints) -> list[Lag]:
    """Return the group's lag in each topic-partition of the source topic; BrokerError if the broker doesn't answer."""
    # Uncommitted reads report the log's end even while a transaction is open.
    with _consumer(at, isolation="read_uncommitted") as consumer:
        committed = consumer.committed(_topic_partitions(at), timeout=ANSWER_SECONDS)
        ends = log_ends(consumer, committed, ANSWER_SECONDS)
        result = []
        for topic_partition in committed:
            start, end = ends[topic_partition.topic, topic_partition.partition]
            result.append(Lag(topic_partition.partition, end, max(topic_partition.offset, start)))
        return result


def read_batch(at: Endpoints, count: int, seconds: float, since: Mapping[int, int] | None = None) -> Batch | None:
    """Return the topic's oldest records, `count` at most, as one batch of the stream; None if the topic is empty.

    `since` limits the batch to its topic-partitions and to records from its offsets on (a deleted offset stands for
    the oldest record that the topic still has).

    Returns after `seconds` without a record, or when the window's 32 MB are full. The group's offsets don't change.
    """
    encode = element_encoder(at.stream_config(), at.account_id)
    window = Window(count, seconds)
    with _consumer(at) as consumer:
        starts = since or {topic_partition.partition: OFFSET_BEGINNING for topic_partition in _topic_partitions(at)}
        consumer.assign([TopicPartition(at.topic, partition, start) for partition, start in starts.items()])
        quiet_since = time.monotonic()
        while not window.has_count() and time.monotonic() - quiet_since < seconds:
            message = consumer.poll(0.1)
            if message is None:
                continue
            if (error := message.error()) is not None:
                raise BrokerError(f"{at.topic} can't be read: {error.str()}")
            partition, offset = cast("int", message.partition()), cast("int", message.offset())
            _, timestamp = message.timestamp()
            headers = cast("Headers", message.headers() or ())
            event = encode(at.topic, partition, offset, timestamp, message.key(), message.value(), headers)
            quiet_since = time.monotonic()
            if event is None:
                continue
            if not window.fits(event):
                break
            window.add(event, (at.topic, partition), offset, quiet_since)
    return window.take() if len(window) else None


@contextmanager
def _consumer(at: Endpoints, *, isolation: str = "read_committed") -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": at.kafka,
            "group.id": at.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise BrokerError(f"the broker at {at.kafka} didn't answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _topic_partitions(at: Endpoints) -> list[TopicPartition]:
    return [TopicPartition(at.topic, number) for number in range(kafka_topics.count_partitions(at.kafka, at.topic))]
