"""The rights that a connector's functions need at brokers with ACLs; docs/CONFIGURATION.md lists them too.

The brokers report the user's rights themselves (KIP-430, Kafka 2.3), so it doesn't matter which ACLs grant them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient

    from fc_powertools import Deadline
    from kafka_maxcompute.settings.settings import Settings

SECONDS = 10.0
"""The longest time for the question to the brokers."""
_UNANSWERED = {
    KafkaError._TIMED_OUT,  # noqa: SLF001 - its public name
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.UNSUPPORTED_VERSION,
}
"""Codes of brokers that can't answer the question: then no right is known to be missing."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """An operation on a topic or group that ACLs may allow, with Kafka's name of the operation."""

    kind: Literal["topic", "group"]
    name: str
    operation: Literal["Read", "Write", "Describe"]

    def __str__(self) -> str:
        return f"{self.operation} on {self.kind} {self.name}"


def needed(settings: Settings) -> tuple[Right, ...]:
    """Return all rights that the functions need; the right to the group lets consumers find its coordinator."""
    read_and_written = {
        settings.config_topic: "the settings record",
        settings.status_topic: "the states",
        settings.error_topic: "dead letters, and redrive",
        settings.dead_letter_topic: "dead letters, and redrive",
        **({settings.offset_topic: "the ledger"} if settings.delivery == "exactly-once" else {}),
    }
    return (
        Right("group", settings.group, "Describe"),
        Right("topic", settings.source_topic, "Read"),
        *(
            right
            for name in read_and_written
            for right in (Right("topic", name, "Read"), Right("topic", name, "Write"))
        ),
    )


def missing(client: AdminClient, settings: Settings, deadline: Deadline) -> tuple[Right, ...]:
    """Return the needed rights that the user doesn't have, as the brokers report them.

    For a topic that doesn't exist yet, brokers report only whether the user has any right to it. Raises
    `UnavailableError` or `RefusedError`.
    """
    # A group's coordinator may be moving to another broker: then the question is repeated.
    return until(deadline.within(SECONDS))(_missing, client, needed(settings), deadline)


def _missing(client: AdminClient, wanted: tuple[Right, ...], deadline: Deadline) -> tuple[Right, ...]:
    seconds = min(SECONDS, deadline.remaining())
    topics = sorted({right.name for right in wanted if right.kind == "topic"})
    (group,) = {right.name for right in wanted if right.kind == "group"}
    # Send both requests before waiting for an answer.
    answers = client.describe_topics(
        TopicCollection(topics), include_authorized_operations=True, request_timeout=seconds
    )
    groups = client.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=seconds)
    allowed: dict[str, frozenset[str] | None] = {name: _operations(name, answer) for name, answer in answers.items()}
    allowed_on_group = _operations(group, groups[group])
    return tuple(_lacking(wanted, allowed, allowed_on_group))


def _lacking(
    wanted: tuple[Right, ...], topics: Mapping[str, frozenset[str] | None], group: frozenset[str] | None
) -> Iterator[Right]:
    for right in wanted:
        allowed = group if right.kind == "group" else topics[right.name]
        if allowed is not None and right.operation.upper() not in allowed:
            yield right


def _operations(name: str, answer: Future[Any]) -> frozenset[str] | None:
    """Return the operations that the user may do; None if they aren't known."""
    try:
        authorized = answer.result(2 * SECONDS).authorized_operations
    except KafkaException as error:
        code = error.args[0].code()
        if code in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}:
            return frozenset()
        if code in _UNANSWERED | {KafkaError.UNKNOWN_TOPIC_OR_PART}:
            return None
        raise fault(error.args[0], f"asking for the rights to {name}") from error
    return None if authorized is None else frozenset(operation.name for operation in authorized)
