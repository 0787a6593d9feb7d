"""The progress of an exactly-once connector, from its ledger, the source topic's logs, and the status topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.status_topic import latest
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.ledger.operations import Claim
from kafka_maxcompute.offsets import count, gaps
from provisioning import brokers
from provisioning.lag import of_ledger
from provisioning.pending import complete, services
from provisioning.resources.ledger import opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.brokers.status_topic import Status
    from kafka_maxcompute.ledger.operations import Pending, State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from provisioning.cloud import Cloud


def ledger(cloud: Cloud) -> dict[str, Any]:
    """Complete the pending claims; return the claims that stay pending with their reasons, and each lag."""
    settings = cloud.request.settings
    with opened(cloud, settings) as (_, log_ledger):
        before = log_ledger.read(cloud.deadline)
        reasons = complete(services(cloud, log_ledger), cloud) if before.pending else {}
        state = log_ledger.read(cloud.deadline)
    places = [(settings.source_topic, number) for number in range(brokers.partitions(cloud))]
    ends = log_bounds.bounds(cloud.clients.asking, places, cloud.deadline.within(brokers.SECONDS))
    return {
        "generation": state.generation,
        "rolled_forward": len(before.pending.keys() - state.pending.keys()),
        "pending": [_pending(name, claim, reasons.get(name, "")) for name, claim in sorted(state.pending.items())],
        "topic_partitions": [_place(place, state, *ends[place]) for place in places],
    }


def errors(cloud: Cloud) -> list[dict[str, Any]]:
    """Return the last errors that the functions have written to the status topic, the newest first."""
    failures = (status for status in statuses(cloud).values() if status.error)
    return [
        {"topic": status.topic, "partition": status.partition, "at": status.at, "error": status.error}
        for status in sorted(failures, key=lambda status: -status.at)
    ]


def dead_letters(cloud: Cloud) -> int:
    """Return how many records the error topics have: dead letters, their copies, and the notes of redrives."""
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    partitions = cloud.clients.appender.count_partitions({settings.error_topic, settings.dead_letter_topic}, deadline)
    places = [(topic, number) for topic, count_ in partitions.items() for number in range(count_)]
    return sum(end - start for start, end in log_bounds.bounds(cloud.clients.asking, places, deadline).values())


def statuses(cloud: Cloud) -> Mapping[bytes, Status]:
    """Return the last status of the connector and of each topic-partition, by the key of its record."""
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    topic = settings.status_topic
    topic_partitions = cloud.clients.appender.count_partitions([topic], deadline)[topic]
    wanted = {(topic, number): WHOLE_LOG for number in range(topic_partitions)}
    return latest((record for _, _, record in cloud.clients.logs().stream(wanted, deadline)), settings.name)


def _pending(name: str, pending: Pending, why: str) -> dict[str, Any]:
    operation = pending.operation
    is_claim = isinstance(operation, Claim)
    return {
        "id": name,
        "for": operation.partition_value if isinstance(operation, Claim) else "the error topic",
        "kind": "claim" if is_claim else "divert",
        "offsets": _offsets(operation.offsets),
        "since": pending.timestamp,
        "why": why,
    }


def _place(place: TopicPartition, state: State, start: int, end: int) -> dict[str, Any]:
    """Return the progress of one topic-partition: as `of_ledger`, with the gaps and the number of pending offsets."""
    settled = state.settled.get(place, ())
    pending = sum(count(claim.operation.offsets.get(place, ())) for claim in state.pending.values())
    progress = of_ledger(settled, start, end, pending)
    last = progress["settled_up_to"]
    missing = gaps(settled, within=(start, last)) if last is not None and last >= start else ()
    return {
        "topic": place[0],
        "partition": place[1],
        **progress,
        "gaps": [list(gap) for gap in missing],
        "pending": pending,
    }


def _offsets(offsets: Offsets) -> dict[str, list[list[int]]]:
    return {
        f"{topic}-{number}": [list(interval) for interval in intervals]
        for (topic, number), intervals in offsets.items()
    }
