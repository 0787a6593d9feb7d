"""Dead letters in the error topics: one topic for records that can't be written, one for elements without a record."""

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
"""Apache Kafka's default of a topic's max.message.bytes."""


class KafkaDeadLetters:
    """The error topics of one connector, on the appender's brokers."""

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
        """Write the letters; see `DeadLetters.write`.

        A topic's limit isn't requested but tried: a letter that is refused for its size is sent by itself, and then cut
        to half its size until the topic accepts it.
        """
        if not letters:
            return
        topics = sorted({self._topic(letter) for letter in letters})
        partitions = self._appender.count_partitions(topics, deadline)
        pending = [(*self._place(letter, partitions), fitted(letter, self._most_bytes)) for letter in letters]
        alone = False
        while pending:
            appends = [Append(topic, partition, encode(letter)) for topic, partition, letter in pending]
            outcomes = self._appender.append(appends, deadline, alone=alone)
            failed = [
                (*sent, outcome)
                for sent, outcome in zip(pending, outcomes, strict=True)
                if isinstance(outcome, KafkaError)
            ]
            pending = [
                (topic, partition, _shortened(letter, error, topic, alone=alone))
                for topic, partition, letter, error in failed
            ]
            alone = True

    def _place(self, letter: DeadLetter, partitions: Mapping[str, int]) -> TopicPartition:
        topic = self._topic(letter)
        return topic, place(letter, partitions[topic])

    def _topic(self, letter: DeadLetter) -> str:
        return self._dead_letter_topic if letter.form == "event" else self._error_topic


def place(letter: DeadLetter, partitions: int) -> int:
    """Return the number of a letter's topic-partition: its copies and the redrive's notes about it have the same."""
    if letter.partition is None:
        return zlib.crc32(letter.record.value or b"") % partitions
    return letter.partition % partitions


def _shortened(letter: DeadLetter, error: KafkaError, topic: str, *, alone: bool) -> DeadLetter:
    """Return the letter to send instead of one that was refused for its size; raises for any other refusal.

    If the letter was sent along with others, their size may be the cause, so it stays as it is. If it was sent `alone`,
    it's cut to the default limit of topics, or to half its size if it's smaller already.
    """
    if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
        raise fault(error, f"writing a dead letter to {topic}")
    if not alone:
        return letter
    uncut = size(encode(letter))
    cut = fitted(letter, DEFAULT_BYTES if uncut > DEFAULT_BYTES else uncut // 2)
    if cut == letter:
        raise fault(error, f"writing a dead letter to {topic} that can't be cut any shorter")
    return cut
