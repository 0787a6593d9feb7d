"""Facts about the source topics, read from the brokers for the check of the ledger's identity."""

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
from kafka_maxcompute.errors import NoSuchTopicError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.identity import Observed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient, TopicDescription

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.login import LoginConsumer
    from kafka_maxcompute.brokers.originals import Originals
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.operations import ByTopicPartition, State
    from kafka_maxcompute.offsets import Offsets, TopicPartition

ANSWERLESS_SECONDS = 2.0
"""Time limit for a question that old brokers and the embedded broker can't answer."""
UNANSWERED = {
    KafkaError._TIMED_OUT,  # noqa: SLF001 - its public name
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
"""Errors of a question that the brokers can't answer, or that this user has no right to."""
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""librdkafka's text for the missing id of a topic."""


@dataclass(frozen=True, slots=True)
class SourceTopics:
    """The source topics at their brokers; `configuration` has librdkafka's properties, with secrets."""

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
        """Return the facts about the topic-partitions from which settled records are about to be dropped.

        `timestamps` has each topic-partition's highest record timestamp (epoch ms), `known` gives the delivery's record
        at an offset. Brokers are asked for topic ids if the ledger has one. Raises `UnavailableError` and
        `RefusedError`, but not for topic-partitions that the brokers don't know.
        """
        with open_consumer(self.configuration) as client:
            ends = _ends(client, sorted(dropped), deadline)
        existing = {place: dropped[place] for place in ends}
        look = marks.look(state, existing, self.originals, deadline, known)
        ends = {place: end for place, end in ends.items() if place not in look.gone}
        topics = sorted({topic for topic, _ in ends} & state.topic_ids.keys())
        return Observed(
            topics=self._ids(topics, deadline) if topics else {},
            ends=ends,
            dropped=dropped,
            timestamps=timestamps,
            marks=look.digests,
            gone=frozenset(dropped.keys() - ends.keys()),
            differing=look.differing,
        )

    def differing(self, state: State, covered: Offsets, known: Known, deadline: Deadline) -> frozenset[TopicPartition]:
        """Return the topic-partitions whose log differs from a batch to be claimed.

        They aren't compared if the ledger has the topic's id, and no mark with a `since`. `known` gives the delivery's
        record at an offset. Raises what the reads raise.
        """

        def log_ends(places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
            with open_consumer(self.configuration) as client:
                return _ends(client, sorted(places), deadline)

        unsure = {place: offsets for place, offsets in covered.items() if marks.is_unsure(state, place)}
        return marks.differing(unsure, known, self.originals, log_ends, deadline)

    def unconfirmed(self, state: State, topics: Collection[str], deadline: Deadline) -> frozenset[str]:
        """Return the topics for which the ledger has an id and the brokers now report another id or none."""
        expected = {topic: id_ for topic, id_ in state.topic_ids.items() if topic in topics}
        reported = self._ids(sorted(expected), deadline) if expected else {}
        return frozenset(topic for topic, id_ in expected.items() if reported.get(topic) != id_)

    def _ids(self, topics: Sequence[str], deadline: Deadline) -> dict[str, str]:
        with LoginAdmin(self.configuration) as client:
            return ids(client, topics, deadline)


def _ends(client: LoginConsumer, places: Sequence[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    """Return the logs' ends, for the topic-partitions that the brokers know."""
    try:
        return log_bounds.ends(client, places, deadline, client.login.absences)
    except NoSuchTopicError as error:
        return _ends(client, [place for place in places if place not in error.places], deadline)


def open_consumer(configuration: Mapping[str, Any]) -> closing[LoginConsumer]:
    """Return a client for the questions of `log_bounds`; a context manager that closes the client."""
    return closing(consumer(configuration, configuration.get("group.id", "kafka-maxcompute")))


def ids(client: AdminClient, topics: Sequence[str], deadline: Deadline) -> dict[str, str]:
    """Return the ids of the topics, without topics that have no id.

    Brokers before Kafka 2.8 have no ids, and some don't answer at all: then nothing is returned.
    """
    seconds = min(ANSWERLESS_SECONDS, deadline.remaining())
    answers = client.describe_topics(TopicCollection(list(topics)), request_timeout=seconds)
    by_topic = {topic: _id(topic, answer) for topic, answer in answers.items()}
    return {topic: id_ for topic, id_ in by_topic.items() if id_ != _NO_ID}


def _id(topic: str, answer: Future[TopicDescription]) -> str:
    try:
        return str(answer.result(QUESTION_SECONDS).topic_id)
    except KafkaException as error:
        if error.args[0].code() in UNANSWERED:
            return _NO_ID
        raise fault(error.args[0], f"asking for the id of topic {topic}") from error
