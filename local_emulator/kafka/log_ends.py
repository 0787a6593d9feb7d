"""The first and next offsets of the logs of topic-partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException
from confluent_kafka import TopicPartition as Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer

    from local_emulator.kafka.topics import TopicPartition


def log_ends(consumer: Consumer, places: Iterable[Place], seconds: float) -> dict[TopicPartition, tuple[int, int]]:
    """Return the first and the next offset of each topic-partition; raises KafkaException after so many seconds.

    For a consumer whose isolation.level is read_committed, the next offset is the last stable offset.

    The two offsets are requested one after the other: `get_watermark_offsets` requests both at once, and if the request
    for the first offset fails, it can return the next offset for both without an error.
    """
    wanted = [(place.topic, place.partition) for place in places]
    offsets: list[dict[TopicPartition, int]] = []
    for end in (OFFSET_BEGINNING, OFFSET_END):
        answers = consumer.offsets_for_times([Place(*place, end) for place in wanted], timeout=seconds)
        for answer in answers:
            if answer.error:
                raise KafkaException(answer.error)
        offsets.append({(answer.topic, answer.partition): answer.offset for answer in answers})
    starts, ends = offsets
    return {place: (start, ends[place]) for place, start in starts.items()}
