"""The source topic of a running cloud, looked at from outside: how far its group is, and a batch of its records."""

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
    """How far the group is in one topic-partition; offsets are the next ones."""

    partition: int
    end: int
    committed: int

    @property
    def behind(self) -> int | None:
        """The records that are still to be delivered; None where the log ends before what is delivered already."""
        return self.end - self.committed if self.end >= self.committed else None

    def lost(self, topic: str) -> str:
        """What is said of a log that ends before what is delivered already, and "" of any other."""
        if self.behind is not None:
            return ""
        what = f"its log ends at {self.end}, but offsets before {self.committed} are delivered already"
        return f"{topic}-{self.partition}: {what}; the broker has lost records, or the topic was created again"


def lags(at: Endpoints) -> list[Lag]:
    """The group's lag in each topic-partition of the source topic; BrokerError if the broker doesn't answer."""
    # The end of the log, also while a transaction is open there.
    with _consumer(at, isolation="read_uncommitted") as consumer:
        found = consumer.committed(_topic_partitions(at), timeout=ANSWER_SECONDS)
        ends = log_ends(consumer, found, ANSWER_SECONDS)
        result = []
        for each in found:
            start, end = ends[each.topic, each.partition]
            result.append(Lag(each.partition, end, max(each.offset, start)))
        return result


def read_batch(at: Endpoints, count: int, seconds: float, since: Mapping[int, int] | None = None) -> Batch | None:
    """The topic's oldest records, `count` at most, as one batch of the stream; None where there are none.

    With `since`, only of these topic-partitions, from these offsets on, or from what the topic still has.

    Returns after `seconds` without a record, or when the window's 32 MB are full. The group isn't touched.
    """
    encode = element_encoder(at.stream_config(), at.account_id)
    window = Window(count, seconds)
    with _consumer(at) as consumer:
        starts = since or {each.partition: OFFSET_BEGINNING for each in _topic_partitions(at)}
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
            if not window.fits(event):
                break
            window.add(event, (at.topic, partition), offset, time.monotonic())
            quiet_since = time.monotonic()
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
