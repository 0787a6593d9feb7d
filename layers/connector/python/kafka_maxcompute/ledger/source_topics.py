"""What brokers say of the source topics, for the check of the ledger's identity."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.clients import consumer
from kafka_maxcompute.brokers.log_bounds import QUESTION_SECONDS
from kafka_maxcompute.brokers.login import LoginAdmin
from kafka_maxcompute.dead_letters.error_topic import nothing
from kafka_maxcompute.errors import NowhereError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.identity import Observed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient, TopicDescription

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.login import LoginConsumer
    from kafka_maxcompute.brokers.originals import Originals
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.operations import ByTopicPartition, State
    from kafka_maxcompute.offsets import Offsets, TopicPartition

ANSWERLESS_SECONDS = 2.0
"""How long a question is waited for that old brokers and the embedded one can't answer."""
UNANSWERED = {
    KafkaError._TIMED_OUT,  # noqa: SLF001 - its public name
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
"""A question that these brokers don't answer, or not to us."""
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""How librdkafka prints the id of a topic that has none."""


@dataclass(frozen=True, slots=True)
class SourceTopics:
    """The source topics as their brokers have them; `configuration` is librdkafka's, with its secrets."""

    configuration: Mapping[str, Any] = field(repr=False)
    originals: Originals

    def observed(
        self,
        state: State,
        dropped: Offsets,
        timestamps: ByTopicPartition,
        deadline: Deadline,
        known: Known = nothing,
    ) -> Observed:
        """What there is of the topic-partitions from which settled records are about to be dropped.

        `timestamps` has the records' highest a topic-partition, `known` is what the delivery has of them. Topic ids are
        asked for if the ledger knows one. Raises `UnavailableError` and `RefusedError`, but not for topic-partitions
        that aren't there.
        """
        with asking(self.configuration) as client:
            ends = _ends(client, sorted(dropped), deadline)
        there = {where: dropped[where] for where in ends}
        look = marks.look(state, there, self.originals, deadline, known)
        ends = {where: end for where, end in ends.items() if where not in look.gone}
        identified = state.identity.topics if state.identity else {}
        asked = sorted({topic for topic, _ in ends} & identified.keys())
        return Observed(
            topics=self._ids(asked, deadline) if asked else {},
            ends=ends,
            dropped=dropped,
            timestamps=timestamps,
            marks=look.digests,
            gone=frozenset(dropped.keys() - ends.keys()),
            others=look.others,
        )

    def _ids(self, topics: Sequence[str], deadline: Deadline) -> dict[str, str]:
        with LoginAdmin(self.configuration) as client:
            return ids(client, topics, deadline)


def _ends(client: LoginConsumer, places: Sequence[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    """The ends of the logs of those topic-partitions that the brokers know."""
    try:
        return log_bounds.ends(client, places, deadline, client.login.absences)
    except NowhereError as error:
        return _ends(client, [place for place in places if place not in error.places], deadline)


def asking(configuration: Mapping[str, Any]) -> closing[LoginConsumer]:
    """A client for a question or two of `log_bounds`; a context manager."""
    return closing(consumer(configuration, configuration.get("group.id", "kafka-maxcompute")))


def ids(client: AdminClient, topics: Sequence[str], deadline: Deadline) -> dict[str, str]:
    """The ids of the topics, of those that have one.

    Brokers before Kafka 2.8 have no ids, and some answer nothing at all: then none is found.
    """
    seconds = min(ANSWERLESS_SECONDS, deadline.remaining())
    asked = client.describe_topics(TopicCollection(list(topics)), request_timeout=seconds)
    found = {topic: _id(topic, answer) for topic, answer in asked.items()}
    return {topic: known for topic, known in found.items() if known != _NO_ID}


def _id(topic: str, answer: Future[TopicDescription]) -> str:
    try:
        return str(answer.result(QUESTION_SECONDS).topic_id)
    except KafkaException as error:
        if error.args[0].code() in UNANSWERED:
            return _NO_ID
        raise fault(error.args[0], f"asking for the id of topic {topic}") from error
