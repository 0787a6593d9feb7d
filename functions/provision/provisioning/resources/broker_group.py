"""The consumer group of the stream (D02) where the brokers themselves keep it: it's there once it has committed."""

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
    """The group of a connector; its state is what it has committed of the source topic, by topic-partition."""

    settings: Settings

    @property
    def title(self) -> str:
        """What it is."""
        return f"group {self.settings.group}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        topic, start = self.settings.source_topic, self.settings.consumer_offset
        return f"commit the {start} offsets of {topic} for the consumer group {self.settings.group}"

    def look(self, cloud: Cloud) -> Mapping[int, int] | None:
        """What it has committed; a group without that is none."""
        return brokers.committed(cloud) or None

    def compare(self, found: Mapping[int, int]) -> tuple[Difference, ...]:  # noqa: ARG002 # the shape of all resources
        """Nothing of it can differ."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Let it begin where the settings say (D06), which also keeps what comes before the stream runs."""
        brokers.commit(cloud, {number: begin for number, (begin, _, _) in self._progress(cloud).items()})

    def change(self, cloud: Cloud, found: Mapping[int, int]) -> None:
        """Nothing of it can be changed."""

    def remove(self, cloud: Cloud) -> None:
        """Remove it, and with it how far the stream has come."""
        client, name = cloud.clients.admin, self.settings.group
        seconds = min(REQUEST_SECONDS, cloud.deadline.remaining())
        try:
            client.delete_consumer_groups([name], request_timeout=seconds)[name].result(2 * REQUEST_SECONDS)
        except KafkaException as error:
            code = error.args[0].code()
            if code in brokers.HAS_MEMBERS:
                told = f"group {name} can't be removed while it has members; stop its stream first"
                raise RefusedError(told, code="HasMembers") from None
            if code != KafkaError.GROUP_ID_NOT_FOUND:
                raise fault(error.args[0], f"deleting group {name}") from error

    def progress(self, cloud: Cloud) -> dict[str, object]:
        """How far it has come, in the words of ApsaraMQ for Kafka; empty where there is no such group."""
        committed = brokers.committed(cloud)
        offsets = [
            {"Partition": number, "BrokerOffset": end, "ConsumerOffset": committed.get(number, start)}
            for number, (_, start, end) in sorted(self._progress(cloud).items())
        ]
        total = sum(int(one["BrokerOffset"]) - int(one["ConsumerOffset"]) for one in offsets)
        listed = [{"Topic": self.settings.source_topic, "OffsetList": {"OffsetList": offsets}}]
        return {"TotalDiff": total, "TopicList": {"TopicList": listed}} if committed else {}

    def _progress(self, cloud: Cloud) -> dict[int, tuple[int, int, int]]:
        """Where it would begin, the log's start and its end, by topic-partition."""
        topic = self.settings.source_topic
        places = [(topic, number) for number in range(brokers.partitions(cloud))]
        ends = log_bounds.bounds(cloud.clients.asking, places, cloud.deadline.within(brokers.SECONDS))
        latest = self.settings.consumer_offset == "latest"
        return {number: (end if latest else start, start, end) for (_, number), (start, end) in ends.items()}
