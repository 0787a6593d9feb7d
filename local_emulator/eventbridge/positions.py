"""Where a consumer begins: at its group's commit, or where the stream's OffsetReset says."""

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
_LOG = logging.getLogger(__name__)


def resolve(consumer: Consumer, assigned: list[TopicPartition], offset_reset: str) -> list[TopicPartition]:
    """The assigned topic-partitions with the offsets to begin at.

    StreamHalt if the log of one begins after what its group has committed: records were lost before their delivery.
    """
    positions = []
    ends = log_ends(consumer, assigned, REQUEST_SECONDS)
    for committed in consumer.committed(assigned, timeout=REQUEST_SECONDS):
        topic, partition, offset = committed.topic, committed.partition, committed.offset
        low, high = ends[topic, partition]
        if offset < 0:
            offset = low if offset_reset == "earliest" else high
            if 0 < offset == low:
                _LOG.warning("the log of %s-%d begins at offset %d: earlier records are gone", topic, partition, low)
        elif offset < low:
            raise StreamHalt(
                StreamStatus.RUNNING_FAILED, lost(topic, partition, f"offsets {offset} to {low - 1} are gone")
            )
        positions.append(TopicPartition(topic, partition, offset))
    if offset_reset == "latest" and positions:
        # Or a rebalance before the first commit would ask for the latest again, and skip what came in between.
        consumer.commit(offsets=positions, asynchronous=False)
    return positions


def lost(topic: str, partition: int, what: str) -> str:
    """What to say when the broker has dropped records that weren't delivered yet."""
    return (
        f"the log of {topic}-{partition} begins after what the stream has delivered ({what}): the broker has dropped "
        "records too early. Send no faster than the stream delivers, or keep more; to go on without them, reset the "
        "group's offsets to the earliest"
    )
