"""Dead letters in the error topics: one for records that can't be written, one for elements that are no records."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from kafka_maxcompute.brokers.appending import MOST_BYTES, Append, Appender
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.dead_letters.dead_letter import encode, fitted, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.offsets import TopicPartition

DEFAULT_BYTES = 1_048_588
"""What a topic takes at most where nobody has set its max.message.bytes (Apache Kafka's default)."""


class KafkaDeadLetters:
    """The error topics of one connector, on the brokers that an appender writes to."""

    def __init__(
        self,
        appender: Appender,
        *,
        error_topic: str,
        dead_letter_topic: str,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._appender = appender
        self._error_topic = error_topic
        self._dead_letter_topic = dead_letter_topic
        self._most_bytes = most_bytes

    def write(self, letters: Sequence[DeadLetter], deadline: Deadline) -> None:
        """Write them; see `DeadLetters.write`.

        What a topic takes isn't asked for but found out: a letter that is refused for its size is sent by itself, and
        then cut to half its size until it's taken.
        """
        if not letters:
            return
        topics = sorted({self._topic(letter) for letter in letters})
        partitions = self._appender.count_partitions(topics, deadline)
        left = [(*self._place(letter, partitions), fitted(letter, self._most_bytes)) for letter in letters]
        alone = False
        while left:
            appends = [Append(topic, partition, encode(letter)) for topic, partition, letter in left]
            outcomes = self._appender.append(appends, deadline, alone=alone)
            failed = [
                (*to, outcome) for to, outcome in zip(left, outcomes, strict=True) if isinstance(outcome, KafkaError)
            ]
            left = [
                (topic, partition, _next(letter, error, topic, alone=alone))
                for topic, partition, letter, error in failed
            ]
            alone = True

    def _place(self, letter: DeadLetter, partitions: Mapping[str, int]) -> TopicPartition:
        topic = self._topic(letter)
        return topic, place(letter, partitions[topic])

    def _topic(self, letter: DeadLetter) -> str:
        return self._dead_letter_topic if letter.form == "event" else self._error_topic


def place(letter: DeadLetter, partitions: int) -> int:
    """The topic-partition that a letter goes to: the same for each of its copies, and for what is noted about it."""
    if letter.partition is None:
        return zlib.crc32(letter.record.value or b"") % partitions
    return letter.partition % partitions


def _next(letter: DeadLetter, error: KafkaError, topic: str, *, alone: bool) -> DeadLetter:
    """What to send instead of a letter that was refused for its size; raises for any other refusal.

    Sent among others, it may have been their size. By itself, it's cut to what topics take by default, or, where it was
    smaller already, to half.
    """
    if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
        raise fault(error, f"writing a dead letter to {topic}")
    if not alone:
        return letter
    whole = size(encode(letter))
    cut = fitted(letter, DEFAULT_BYTES if whole > DEFAULT_BYTES else whole // 2)
    if cut == letter:
        raise fault(error, f"writing a dead letter to {topic}, of which nothing was left to cut")
    return cut
