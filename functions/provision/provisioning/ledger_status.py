"""Where an exactly-once connector stands: by its ledger, by its source topic's log, and by the status topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.status_topic import latest
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.ledger.operations import Claim
from kafka_maxcompute.offsets import count, gaps
from provisioning import brokers
from provisioning.lag import of_ledger
from provisioning.pending import bring_to_end, services
from provisioning.resources.ledger import opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.brokers.status_topic import Status
    from kafka_maxcompute.ledger.operations import Pending, State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from provisioning.cloud import Cloud


def ledger(cloud: Cloud) -> dict[str, Any]:
    """Bring what is pending to its end; then what is settled, what stays pending and why, and the lag of each."""
    settings = cloud.request.settings
    with opened(cloud, settings) as (_, found):
        before = found.read(cloud.deadline)
        why = bring_to_end(services(cloud, found), cloud) if before.pending else {}
        state = found.read(cloud.deadline)
    places = [(settings.source_topic, number) for number in range(brokers.partitions(cloud))]
    ends = log_bounds.bounds(cloud.clients.asking, places, cloud.deadline.within(brokers.SECONDS))
    return {
        "generation": state.generation,
        "rolled_forward": len(before.pending.keys() - state.pending.keys()),
        "pending": [_pending(name, one, why.get(name, "")) for name, one in sorted(state.pending.items())],
        "topic_partitions": [_place(place, state, *ends[place]) for place in places],
    }


def errors(cloud: Cloud) -> list[dict[str, Any]]:
    """The last errors that the functions have told in the status topic, the newest first."""
    told = (status for status in statuses(cloud).values() if status.error)
    return [
        {"topic": status.topic, "partition": status.partition, "at": status.at, "error": status.error}
        for status in sorted(told, key=lambda status: -status.at)
    ]


def statuses(cloud: Cloud) -> Mapping[bytes, Status]:
    """The last status of the connector and of each topic-partition."""
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    topic = settings.status_topic
    topic_partitions = cloud.clients.appender.count_partitions([topic], deadline)[topic]
    wanted = {(topic, number): WHOLE_LOG for number in range(topic_partitions)}
    return latest((record for _, _, record in cloud.clients.logs().stream(wanted, deadline)), settings.name)


def _pending(name: str, pending: Pending, why: str) -> dict[str, Any]:
    operation = pending.operation
    claim = isinstance(operation, Claim)
    return {
        "id": name,
        "for": operation.partition_value if isinstance(operation, Claim) else "the error topic",
        "kind": "claim" if claim else "divert",
        "offsets": _offsets(operation.offsets),
        "since": pending.timestamp,
        "why": why,
    }


def _place(place: TopicPartition, state: State, start: int, end: int) -> dict[str, Any]:
    """Of one topic-partition: as `of_ledger` has it, with the gaps among what is settled and the number pending."""
    settled = state.settled.get(place, ())
    waiting = sum(count(one.operation.offsets.get(place, ())) for one in state.pending.values())
    stands = of_ledger(settled, start, end, waiting)
    high = stands["settled_up_to"]
    holes = gaps(settled, within=(start, high)) if high is not None and high >= start else ()
    return {
        "topic": place[0],
        "partition": place[1],
        **stands,
        "gaps": [list(hole) for hole in holes],
        "pending": waiting,
    }


def _offsets(offsets: Offsets) -> dict[str, list[list[int]]]:
    return {f"{topic}-{number}": [list(one) for one in found] for (topic, number), found in offsets.items()}
