"""Where the logs of topic-partitions begin and end, as their leaders say now, and how far a group has come in them.

An end is the high watermark for a client with `isolation.level` read_uncommitted, which `brokers.consumer` sets. For a
client with read_committed it's the last stable offset: what an open transaction has appended lies beyond it.

Not by `Consumer.get_watermark_offsets`: librdkafka asks both of its questions at once, and where the one for the start
fails just before the other is answered, it gives the end for the start as well, as if nothing had failed.

Topic-partitions that aren't listed are a `NowhereError` at once. With `absences`, they are asked for again until they
count as gone: for whoever goes on without them.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.login import check_after_failure
from kafka_maxcompute.errors import NowhereError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Consumer

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.absences import Absences
    from kafka_maxcompute.offsets import TopicPartition

QUESTION_SECONDS = 10.0
"""How long the brokers may take to answer one question; it's asked again while there is time."""
NO_SUCH_TOPIC = "NoSuchTopic"
"""The code of a `NowhereError`, which goes by the brokers' list of all topics."""
_NAME = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
"""What Kafka takes for the name of a topic."""

_UNKNOWN = {
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - its public name
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


def starts(client: Consumer, places: Iterable[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    """The first offset of each log; asked again until the deadline where the brokers can't answer.

    Raises `UnavailableError`, and `NowhereError` with all those that they don't list, or that can't be.
    """
    return _ask(client, places, OFFSET_BEGINNING, deadline)


def ends(
    client: Consumer, places: Iterable[TopicPartition], deadline: Deadline, absences: Absences | None = None
) -> dict[TopicPartition, int]:
    """The offset that the next record of each log will get; asked, and raises, as for `starts`."""
    return _ask(client, places, OFFSET_END, deadline, absences)


def bounds(
    client: Consumer, places: Iterable[TopicPartition], deadline: Deadline, absences: Absences | None = None
) -> dict[TopicPartition, tuple[int, int]]:
    """The start of each log and then its end; asked, and raises, as for `starts`."""
    first = _ask(client, places, OFFSET_BEGINNING, deadline, absences)
    after = ends(client, first, deadline, absences)
    return {place: (offset, after[place]) for place, offset in first.items()}


def offsets_at(
    client: Consumer, places: Iterable[TopicPartition], milliseconds: int, deadline: Deadline
) -> dict[TopicPartition, int]:
    """The first offset of each log whose record is of that time or later, its end where there is none; as `starts`."""
    found = _ask(client, places, milliseconds, deadline)
    none = ends(client, [place for place, offset in found.items() if offset < 0], deadline)
    return found | none


def committed(client: Consumer, places: Iterable[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    """The next offset of the client's group, of those where it has committed one; asked, and raises, as `starts`."""
    asked = sorted(places)
    return until(deadline)(_committed, client, asked, deadline) if asked else {}


def _committed(client: Consumer, places: Sequence[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
    doing, began = f"asking what the group has committed of {_described(places)}", monotonic()
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
    """Kafka's ListOffsets for all places: a time in ms, or the name of an end, which librdkafka passes on."""
    asked = sorted(places)
    if impossible := [place for place in asked if not _NAME.fullmatch(place[0])]:
        # Brokers aren't asked: Apache Kafka leaves the question for all of them unanswered.
        what = f"asking for the offsets of {_described(impossible)}: there can be no topic of that name"
        raise NowhereError(what, code=NO_SUCH_TOPIC, places=impossible)
    return until(deadline)(_answers, client, asked, time, deadline, absences) if asked else {}


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
    """What an error means; librdkafka calls topic-partitions unknown whose brokers are gone, too."""
    if error.code() not in _UNKNOWN:
        return fault(error, doing)
    try:
        # All topics are asked for: a question for one may create it.
        there = client.list_topics(timeout=_seconds(deadline)).topics
    except KafkaException as unanswered:
        return fault(unanswered.args[0], doing)
    missing = [place for place in places if place[0] not in there or place[1] not in there[place[0]].partitions]
    gone = missing if absences is None else absences.note(places, missing)
    if not missing:
        return UnavailableError(f"{doing}: the brokers don't reach the leader now, or have only just come to know it")
    if len(gone) < len(missing):
        return UnavailableError(f"{doing}: the brokers don't list {_described(missing)} now; that may pass")
    what = f"{doing}: the brokers have no {_described(missing)}; create the topic, or fix its name"
    return NowhereError(what, code=NO_SUCH_TOPIC, places=missing)


def _described(places: Sequence[TopicPartition]) -> str:
    topic, partition = places[0]
    return f"{topic}-{partition}" + (f" and {len(places) - 1} more" if len(places) > 1 else "")


def _seconds(deadline: Deadline) -> float:
    return min(QUESTION_SECONDS, deadline.remaining())
