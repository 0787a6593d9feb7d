"""Where the logs of topic-partitions begin and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException
from confluent_kafka import TopicPartition as Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer

    from local_emulator.kafka.topics import TopicPartition


def log_ends(consumer: Consumer, places: Iterable[Place], seconds: float) -> dict[TopicPartition, tuple[int, int]]:
    """The first and the next offset of each; raises KafkaException where one isn't told within so many seconds.

    The next offset is the last stable one for a consumer whose isolation.level is read_committed.

    The ends are asked for one after the other: `get_watermark_offsets` asks for both at once, and where the question
    for the start fails, it can give the end for both without a word.
    """
    asked = [(place.topic, place.partition) for place in places]
    found: list[dict[TopicPartition, int]] = []
    for end in (OFFSET_BEGINNING, OFFSET_END):
        answers = consumer.offsets_for_times([Place(*place, end) for place in asked], timeout=seconds)
        for answer in answers:
            if answer.error:
                raise KafkaException(answer.error)
        found.append({(answer.topic, answer.partition): answer.offset for answer in answers})
    starts, ends = found
    return {place: (start, ends[place]) for place, start in starts.items()}
