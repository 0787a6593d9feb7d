"""The connector's own topics (D10-D15), if the brokers create them: open-source or Confluent Kafka."""

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
"""Replicas of a new topic, if there are as many brokers; one broker may fail, and no append is lost."""
REQUEST_SECONDS = 15.0
UNKNOWN_TOPIC = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART).name()


@dataclass(frozen=True, slots=True)
class BrokerTopicState:
    """A topic as the brokers have it; `configured` is its configuration, as far as the brokers report it.

    `empty`: the topic has certainly never held a record. It is determined only for a topic that can't be used as it is.
    """

    partitions: int
    replicas: int
    configured: Mapping[str, str] = field(default_factory=dict)
    empty: bool = False


@dataclass(frozen=True, slots=True)
class BrokerTopic(OwnTopic[BrokerTopicState]):
    """A topic that the brokers create."""

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        wanted = ", ".join(f"{name}={value}" for name, value in self._configuration(REPLICAS).items())
        return f"create the {self.purpose} topic {self.name}: {PARTITIONS[self.purpose]} topic-partitions, {wanted}"

    def look(self, cloud: Cloud) -> BrokerTopicState | None:
        """Return the topic as the brokers have it; None if it doesn't exist."""
        client, deadline = cloud.clients.admin, cloud.deadline.within(brokers.SECONDS)
        try:
            # List all topics: a request for a single topic may create the topic.
            metadata = client.list_topics(timeout=deadline.remaining()).topics.get(self.name)
        except KafkaException as error:
            raise fault(error.args[0], f"asking for topic {self.name}") from error
        if metadata is None:
            return None
        replicas = min((len(partition.replicas) for partition in metadata.partitions.values()), default=0)
        try:
            configured = offset_topic.configured(client, self.name, deadline)
        except RefusedError as error:
            if error.code != UNKNOWN_TOPIC:
                raise
            return None  # deleted between the two requests
        state = BrokerTopicState(len(metadata.partitions), replicas, configured)
        wrong = self.compare(state) or self._ledger_faults(state)
        return replace(state, empty=bool(wrong) and is_surely_empty(cloud, self.name))

    def compare(self, state: BrokerTopicState) -> tuple[Difference, ...]:
        """Return why the topic can't be used. Only a topic without a record is created again: records would be lost.

        The ledger's own check reports what else an offset topic with records needs.
        """
        remedy, advice = recreation(empty=state.empty)
        policy = state.configured.get("cleanup.policy", "")
        compacted, wanted = "compact" in policy.split(","), self.purpose in LOCAL
        checks = [
            ("compacted", compacted, wanted, bool(policy) and compacted != wanted),
            ("topic-partitions", state.partitions, 1, self.purpose == "config" and state.partitions != 1),
            ("topic-partitions", state.partitions, "more than 1", self.purpose == "offset" and state.partitions < 2),  # noqa: PLR2004
        ]
        wrong = tuple(Difference(name, has, wants, remedy, advice) for name, has, wants, differs in checks if differs)
        if wrong or not state.empty:
            return wrong
        lossy = self._ledger_faults(state)
        return tuple(Difference("configuration", fault, "one that keeps the ledger", remedy, advice) for fault in lossy)

    def make(self, cloud: Cloud) -> None:
        """Request the creation, with one replica for each broker, three at most."""
        self._create(cloud, validate_only=False)

    def validate(self, cloud: Cloud) -> None:
        """Have the brokers check the creation without creating the topic; raises what `make` raises."""
        self._create(cloud, validate_only=True)

    def change(self, cloud: Cloud, state: BrokerTopicState) -> None:  # noqa: ARG002 # required by `Resource`
        """Delete the topic if it's still empty; the next step creates it again."""
        refuse_unless_empty(cloud, self.name)
        self.remove(cloud)

    def remove(self, cloud: Cloud) -> None:
        """Remove the topic with its records."""
        seconds = min(REQUEST_SECONDS, cloud.deadline.remaining())
        answers = cloud.clients.admin.delete_topics([self.name], request_timeout=seconds)
        _wait(answers[self.name], f"deleting topic {self.name}", KafkaError.UNKNOWN_TOPIC_OR_PART)

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
        answers = client.create_topics([wanted], request_timeout=seconds, validate_only=validate_only)
        _wait(answers[self.name], f"creating topic {self.name}", KafkaError.TOPIC_ALREADY_EXISTS)

    def _ledger_faults(self, state: BrokerTopicState) -> list[str]:
        """Return why the configuration of an offset topic would lose the ledger."""
        return offset_topic.faults(state.configured, replicas=state.replicas) if self.purpose == "offset" else []

    def _configuration(self, replicas: int) -> dict[str, str]:
        """Return the configuration of a new topic; a topic that has to last is compacted and keeps replicas in sync."""
        if self.purpose not in LOCAL:
            return {"cleanup.policy": "delete"}
        durable = {"min.insync.replicas": str(offset_topic.FEWEST_IN_SYNC)} if replicas >= REPLICAS else {}
        return {"cleanup.policy": "compact", "unclean.leader.election.enable": "false", **durable}


def broker_topics(settings: Settings) -> tuple[BrokerTopic, ...]:
    """Return the connector's topics: five, or four if dead letters and error data share a topic."""
    return tuple(BrokerTopic(topic.name, topic.purpose) for topic in own_topics(settings))


def _wait(answer: Future[None], doing: str, done_already: int) -> None:
    """Wait for the brokers' answer; `done_already` is the error code that needs no error."""
    try:
        answer.result(2 * REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != done_already:
            raise fault(error.args[0], doing) from error
