"""The connector's own topics (D10-D15) where the brokers themselves make them: open-source or Confluent Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.ledger import offset_topic
from provisioning import brokers
from provisioning.resource import Difference
from provisioning.resources.topics import (
    LOCAL,
    PARTITIONS,
    OwnTopic,
    is_surely_empty,
    own_topics,
    recreation,
    refuse_unless_empty,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from kafka_maxcompute.settings.settings import Settings
    from provisioning.cloud import Cloud

REPLICAS = 3
"""Of a topic that is made, where there are as many brokers; one of them may fail without an append being lost."""
REQUEST_SECONDS = 15.0
UNKNOWN_TOPIC = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART).name()


@dataclass(frozen=True, slots=True)
class BrokerTopicState:
    """A topic as the brokers have it; `configured` is its configuration as far as they tell it.

    `empty` is whether it's known that it has never held a record; asked only for a topic that can't be used as it is.
    """

    partitions: int
    replicas: int
    configured: Mapping[str, str] = field(default_factory=dict)
    empty: bool = False


@dataclass(frozen=True, slots=True)
class BrokerTopic(OwnTopic[BrokerTopicState]):
    """One that the brokers make."""

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        wanted = ", ".join(f"{name}={value}" for name, value in self._configuration(REPLICAS).items())
        return f"create the {self.purpose} topic {self.name}: {PARTITIONS[self.purpose]} topic-partitions, {wanted}"

    def look(self, cloud: Cloud) -> BrokerTopicState | None:
        """The topic as the brokers have it."""
        client, deadline = cloud.clients.admin, cloud.deadline.within(brokers.SECONDS)
        try:
            # All topics are asked for: a question for one may make it.
            found = client.list_topics(timeout=deadline.remaining()).topics.get(self.name)
        except KafkaException as error:
            raise fault(error.args[0], f"asking for topic {self.name}") from error
        if found is None:
            return None
        replicas = min((len(partition.replicas) for partition in found.partitions.values()), default=0)
        try:
            configured = offset_topic.configured(client, self.name, deadline)
        except RefusedError as error:
            if error.code != UNKNOWN_TOPIC:
                raise
            return None  # deleted between the two questions
        state = BrokerTopicState(len(found.partitions), replicas, configured)
        wrong = self.compare(state) or self._loses_the_ledger(state)
        return replace(state, empty=bool(wrong) and is_surely_empty(cloud, self.name))

    def compare(self, found: BrokerTopicState) -> tuple[Difference, ...]:
        """What can't be used; only a topic without a record is created again, for what is in it would be lost.

        What else an offset topic with records needs to keep a ledger, the ledger's own check says.
        """
        remedy, advice = recreation(empty=found.empty)
        policy = found.configured.get("cleanup.policy", "")
        compacted, wanted = "compact" in policy.split(","), self.purpose in LOCAL
        checks = [
            ("compacted", compacted, wanted, bool(policy) and compacted != wanted),
            ("topic-partitions", found.partitions, 1, self.purpose == "config" and found.partitions != 1),
            ("topic-partitions", found.partitions, "more than 1", self.purpose == "offset" and found.partitions < 2),  # noqa: PLR2004
        ]
        wrong = tuple(Difference(name, has, wants, remedy, advice) for name, has, wants, differs in checks if differs)
        if wrong or not found.empty:
            return wrong
        lossy = self._loses_the_ledger(found)
        return tuple(Difference("configuration", one, "one that keeps the ledger", remedy, advice) for one in lossy)

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made, with as many replicas as there are brokers for, up to three."""
        self._create(cloud, validate_only=False)

    def validate(self, cloud: Cloud) -> None:
        """Have the brokers check whether they would make it, and make nothing; raises as `make` does."""
        self._create(cloud, validate_only=True)

    def change(self, cloud: Cloud, found: BrokerTopicState) -> None:  # noqa: ARG002 # of `Resource`; it is looked at once more
        """Delete it, if it's still empty; it's created again when it's gone."""
        refuse_unless_empty(cloud, self.name)
        self.remove(cloud)

    def remove(self, cloud: Cloud) -> None:
        """Remove it with what is in it; asked for by name only."""
        seconds = min(REQUEST_SECONDS, cloud.deadline.remaining())
        asked = cloud.clients.admin.delete_topics([self.name], request_timeout=seconds)
        _answered(asked[self.name], f"deleting topic {self.name}", KafkaError.UNKNOWN_TOPIC_OR_PART)

    def _create(self, cloud: Cloud, *, validate_only: bool) -> None:
        client, deadline = cloud.clients.admin, cloud.deadline.within(brokers.SECONDS)
        try:
            replicas = min(REPLICAS, len(client.list_topics(timeout=deadline.remaining()).brokers))
        except KafkaException as error:
            raise fault(error.args[0], f"creating topic {self.name}") from error
        wanted = NewTopic(
            self.name,
            num_partitions=PARTITIONS[self.purpose],
            replication_factor=replicas,
            config=self._configuration(replicas),
        )
        seconds = min(REQUEST_SECONDS, deadline.remaining())
        asked = client.create_topics([wanted], request_timeout=seconds, validate_only=validate_only)
        _answered(asked[self.name], f"creating topic {self.name}", KafkaError.TOPIC_ALREADY_EXISTS)

    def _loses_the_ledger(self, found: BrokerTopicState) -> list[str]:
        """What is wrong with an offset topic's configuration."""
        return offset_topic.faults(found.configured, replicas=found.replicas) if self.purpose == "offset" else []

    def _configuration(self, replicas: int) -> dict[str, str]:
        """Of a new topic; only what has to last is compacted, and needs more than one replica for an append."""
        if self.purpose not in LOCAL:
            return {"cleanup.policy": "delete"}
        durable = {"min.insync.replicas": str(offset_topic.FEWEST_IN_SYNC)} if replicas >= REPLICAS else {}
        return {"cleanup.policy": "compact", "unclean.leader.election.enable": "false", **durable}


def broker_topics(settings: Settings) -> tuple[BrokerTopic, ...]:
    """The connector's topics: five, or four where dead letters and error data share one."""
    return tuple(BrokerTopic(topic.name, topic.purpose) for topic in own_topics(settings))


def _answered(asked: Future[None], doing: str, fine: int) -> None:
    """Wait for the brokers; `fine` is the code with which they say that it's done already."""
    try:
        asked.result(2 * REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != fine:
            raise fault(error.args[0], doing) from error
