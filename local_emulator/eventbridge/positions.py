"""The offsets at which a consumer begins: its group's committed ones, or those of the stream's OffsetReset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from local_emulator.eventbridge.delivery import StreamHalt
from local_emulator.eventbridge.progress import StreamStatus
from local_emulator.kafka.log_ends import log_ends

if TYPE_CHECKING:
    from confluent_kafka import Consumer

REQUEST_SECONDS = 10.0
_log = logging.getLogger(__name__)


def resolve(consumer: Consumer, assigned: list[TopicPartition], offset_reset: str) -> list[TopicPartition]:
    """Return the assigned topic-partitions with the offsets to begin at.

    Raises StreamHalt if a log begins after the group's committed offset: records were lost before their delivery.
    """
    positions = []
    ends = log_ends(consumer, assigned, REQUEST_SECONDS)
    for committed in consumer.committed(assigned, timeout=REQUEST_SECONDS):
        topic, partition, offset = committed.topic, committed.partition, committed.offset
        low, high = ends[topic, partition]
        if offset < 0:
            offset = low if offset_reset == "earliest" else high
            if 0 < offset == low:
                _log.warning("the log of %s-%d begins at offset %d: earlier records are gone", topic, partition, low)
        elif offset < low:
            raise StreamHalt(
                StreamStatus.RUNNING_FAILED, lost_records(topic, partition, f"offsets {offset} to {low - 1} are gone")
            )
        positions.append(TopicPartition(topic, partition, offset))
    if offset_reset == "latest" and positions:
        # Without a commit, a rebalance would resolve the latest offset again and skip the records sent meanwhile.
        consumer.commit(offsets=positions, asynchronous=False)
    return positions


def lost_records(topic: str, partition: int, detail: str) -> str:
    """Return the message for records that the broker has dropped before their delivery."""
    return (
        f"the log of {topic}-{partition} begins after the stream's next offset ({detail}): the broker dropped "
        "records too early. Send no faster than the stream delivers, or keep more; to go on without these, reset the "
        "group's offsets to the earliest"
    )
