"""The starts and ends of logs, requested from their leaders, and a group's committed offsets.

An end is the high watermark for a client with `isolation.level` read_uncommitted, as `brokers.clients.consumer` has it.
For a client with read_committed it's the last stable offset: records of an open transaction lie beyond it.

`Consumer.get_watermark_offsets` isn't used: librdkafka requests start and end at once, and if the request for the start
fails just before the answer for the end arrives, it returns the end for both, without an error.

Topic-partitions that the brokers don't list are a `NoSuchTopicError` at once. With `absences`, the brokers are asked
again until the topic-partitions count as gone; this is for callers that go on without them.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.login import check_after_failure
from kafka_maxcompute.errors import NoSuchTopicError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Consumer

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.absences import Absences
    from kafka_maxcompute.offsets import TopicPartition

QUESTION_SECONDS = 10.0
"""How long the brokers may take to answer one question; a question is repeated as long as there is time."""
NO_SUCH_TOPIC = "NoSuchTopic"
"""The code of a `NoSuchTopicError`, which is raised after a look at the brokers' list of all topics."""
_NAME = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
"""The names that Kafka accepts for a topic."""

_UNKNOWN = {
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - its public name
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


def starts(client: Consumer, places: Iterable[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    """Return the first offset of each log; asks again until the deadline if the brokers can't answer.

    Raises `UnavailableError`, and `NoSuchTopicError` with all topic-partitions that the brokers don't list or whose
    topic has an impossible name.
    """
    return _ask(client, places, OFFSET_BEGINNING, deadline)


def ends(
    client: Consumer, places: Iterable[TopicPartition], deadline: Deadline, absences: Absences | None = None
) -> dict[TopicPartition, int]:
    """Return the offset that the next record of each log will get; asks and raises as `starts` does."""
    return _ask(client, places, OFFSET_END, deadline, absences)


def bounds(
    client: Consumer, places: Iterable[TopicPartition], deadline: Deadline, absences: Absences | None = None
) -> dict[TopicPartition, tuple[int, int]]:
    """Return the start and the end of each log, requested in this order; asks and raises as `starts` does."""
    log_starts = _ask(client, places, OFFSET_BEGINNING, deadline, absences)
    log_ends = ends(client, log_starts, deadline, absences)
    return {place: (start, log_ends[place]) for place, start in log_starts.items()}


def offsets_at(
    client: Consumer, places: Iterable[TopicPartition], milliseconds: int, deadline: Deadline
) -> dict[TopicPartition, int]:
    """Return each log's first offset whose record has that time (epoch ms) or a later one, else the log's end.

    Asks and raises as `starts` does.
    """
    offsets = _ask(client, places, milliseconds, deadline)
    log_ends = ends(client, [place for place, offset in offsets.items() if offset < 0], deadline)
    return offsets | log_ends


def committed(client: Consumer, places: Iterable[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    """Return the committed offset of the client's group, for topic-partitions with one; asks and raises as `starts`."""
    ordered = sorted(places)
    return until(deadline)(_committed, client, ordered, deadline) if ordered else {}


def _committed(client: Consumer, places: Sequence[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    doing, began = f"asking for the group's committed offsets of {_described(places)}", monotonic()
    try:
        answers = client.committed([Place(*place) for place in places], timeout=_seconds(deadline))
    except KafkaException as error:
        check_after_failure(client, doing, since=began)
        raise fault(error.args[0], doing) from error
    for answer in answers:
        if answer.error:
            raise fault(answer.error, doing)
    return {(answer.topic, answer.partition): answer.offset for answer in answers if answer.offset >= 0}


def _ask(
    client: Consumer,
    places: Iterable[TopicPartition],
    time: int,
    deadline: Deadline,
    absences: Absences | None = None,
) -> dict[TopicPartition, int]:
    """Kafka's ListOffsets for all places; `time` is in epoch ms, or librdkafka's constant for a log's start or end."""
    ordered = sorted(places)
    if impossible := [place for place in ordered if not _NAME.fullmatch(place[0])]:
        # Brokers aren't asked: with one impossible name Apache Kafka answers for none of the topics.
        message = f"asking for the offsets of {_described(impossible)}: Kafka allows no topic of this name"
        raise NoSuchTopicError(message, code=NO_SUCH_TOPIC, places=impossible)
    return until(deadline)(_answers, client, ordered, time, deadline, absences) if ordered else {}


def _answers(
    client: Consumer, places: Sequence[TopicPartition], time: int, deadline: Deadline, absences: Absences | None
) -> dict[TopicPartition, int]:
    doing, began = f"asking for the offsets of {_described(places)}", monotonic()
    try:
        answers = client.offsets_for_times([Place(*place, time) for place in places], timeout=_seconds(deadline))
    except KafkaException as error:
        check_after_failure(client, doing, since=began)
        raise _explained(client, places, error.args[0], doing, deadline, absences=absences) from error
    for answer in answers:
        if answer.error:
            raise _explained(client, places, answer.error, doing, deadline, absences=absences)
        if answer.offset < 0 and time < 0:
            raise UnavailableError(f"{doing}: the brokers gave no answer for {answer.topic}-{answer.partition}")
    return {(answer.topic, answer.partition): answer.offset for answer in answers}


def _explained(
    client: Consumer,
    places: Sequence[TopicPartition],
    error: KafkaError,
    doing: str,
    deadline: Deadline,
    *,
    absences: Absences | None,
) -> Exception:
    """Return the error to raise: librdkafka also reports topic-partitions as unknown if their brokers are gone."""
    if error.code() not in _UNKNOWN:
        return fault(error, doing)
    try:
        # The request is for all topics: a request for one topic may create it.
        topics = client.list_topics(timeout=_seconds(deadline)).topics
    except KafkaException as unanswered:
        return fault(unanswered.args[0], doing)
    missing = [place for place in places if place[0] not in topics or place[1] not in topics[place[0]].partitions]
    gone = missing if absences is None else absences.note(places, missing)
    if not missing:
        return UnavailableError(f"{doing}: the brokers don't reach the leader now, or have only just learnt of it")
    if len(gone) < len(missing):
        return UnavailableError(f"{doing}: the brokers don't list {_described(missing)} now, perhaps only for a moment")
    message = f"{doing}: the brokers have no {_described(missing)}; create the topic, or fix its name"
    return NoSuchTopicError(message, code=NO_SUCH_TOPIC, places=missing)


def _described(places: Sequence[TopicPartition]) -> str:
    topic, partition = places[0]
    return f"{topic}-{partition}" + (f" and {len(places) - 1} more" if len(places) > 1 else "")


def _seconds(deadline: Deadline) -> float:
    return min(QUESTION_SECONDS, deadline.remaining())
