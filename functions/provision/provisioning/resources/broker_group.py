"""The stream's consumer group (D02), if the brokers manage groups: the group exists once it has committed offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.errors import RefusedError
from provisioning import brokers
from provisioning.resource import Resource

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.cloud import Cloud
    from provisioning.resource import Difference

REQUEST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class BrokerGroup(Resource[Mapping[int, int]]):
    """The group of a connector; its state is the committed offsets of the source topic, by topic-partition."""

    settings: Settings

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"group {self.settings.group}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        topic, start = self.settings.source_topic, self.settings.consumer_offset
        return f"commit the {start} offsets of {topic} for the consumer group {self.settings.group}"

    def look(self, cloud: Cloud) -> Mapping[int, int] | None:
        """Return the committed offsets; None if the group has committed nothing."""
        return brokers.committed(cloud) or None

    def compare(self, state: Mapping[int, int]) -> tuple[Difference, ...]:  # noqa: ARG002 # required by `Resource`
        """Return no difference: only the existence of the resource matters."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Commit the offsets where the settings begin (D06); so records that come before the stream runs are kept."""
        brokers.commit(cloud, {number: begin for number, (begin, _, _) in self._offsets(cloud).items()})

    def change(self, cloud: Cloud, state: Mapping[int, int]) -> None:
        """Do nothing: `compare` reports no difference."""

    def remove(self, cloud: Cloud) -> None:
        """Remove the group with its committed offsets."""
        client, name = cloud.clients.admin, self.settings.group
        seconds = min(REQUEST_SECONDS, cloud.deadline.remaining())
        try:
            client.delete_consumer_groups([name], request_timeout=seconds)[name].result(2 * REQUEST_SECONDS)
        except KafkaException as error:
            code = error.args[0].code()
            if code in brokers.HAS_MEMBERS:
                message = f"group {name} can't be removed while it has members; stop its stream first"
                raise RefusedError(message, code="HasMembers") from None
            if code != KafkaError.GROUP_ID_NOT_FOUND:
                raise fault(error.args[0], f"deleting group {name}") from error

    def progress(self, cloud: Cloud) -> dict[str, object]:
        """Return the group's progress in the form of ApsaraMQ for Kafka; empty if the group doesn't exist."""
        committed = brokers.committed(cloud)
        offsets = [
            {"Partition": number, "BrokerOffset": end, "ConsumerOffset": committed.get(number, start)}
            for number, (_, start, end) in sorted(self._offsets(cloud).items())
        ]
        total = sum(int(offset["BrokerOffset"]) - int(offset["ConsumerOffset"]) for offset in offsets)
        listed = [{"Topic": self.settings.source_topic, "OffsetList": {"OffsetList": offsets}}]
        return {"TotalDiff": total, "TopicList": {"TopicList": listed}} if committed else {}

    def _offsets(self, cloud: Cloud) -> dict[int, tuple[int, int, int]]:
        """Return the offset where a new group begins, the log's start and the log's end, by topic-partition."""
        topic = self.settings.source_topic
        places = [(topic, number) for number in range(brokers.partitions(cloud))]
        ends = log_bounds.bounds(cloud.clients.asking, places, cloud.deadline.within(brokers.SECONDS))
        latest = self.settings.consumer_offset == "latest"
        return {number: (end if latest else start, start, end) for (_, number), (start, end) in ends.items()}
