"""The rights that a connector's functions need at brokers with ACLs; docs/CONFIGURATION.md lists them too.

Brokers themselves are asked what this user may do (KIP-430, Kafka 2.3), so it doesn't matter by which ACLs.
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
"""How long the brokers are asked."""
_UNANSWERED = {
    KafkaError._TIMED_OUT,  # noqa: SLF001 - its public name
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.UNSUPPORTED_VERSION,
}
"""What brokers that don't know the question answer it with: then nothing is known to be missing."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """An operation that ACLs may allow, by Kafka's name for it."""

    kind: Literal["topic", "group"]
    name: str
    operation: Literal["Read", "Write", "Describe"]

    def __str__(self) -> str:
        return f"{self.operation} on {self.kind} {self.name}"


def needed(settings: Settings) -> tuple[Right, ...]:
    """All of them; that of the group is for its coordinator, whom every consumer asks for."""
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
    """Those that the brokers say this user doesn't have.

    Of a topic that isn't there yet, brokers only tell whether there is any right to it. Raises `UnavailableError` or
    `RefusedError`.
    """
    # A group's coordinator may be on its way to another broker: that is asked again.
    return until(deadline.within(SECONDS))(_missing, client, needed(settings), deadline)


def _missing(client: AdminClient, wanted: tuple[Right, ...], deadline: Deadline) -> tuple[Right, ...]:
    seconds = min(SECONDS, deadline.remaining())
    topics = sorted({right.name for right in wanted if right.kind == "topic"})
    (group,) = {right.name for right in wanted if right.kind == "group"}
    # All is asked before an answer is waited for.
    asked = client.describe_topics(TopicCollection(topics), include_authorized_operations=True, request_timeout=seconds)
    groups = client.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=seconds)
    may: dict[str, frozenset[str] | None] = {name: _operations(name, answer) for name, answer in asked.items()}
    may_group = _operations(group, groups[group])
    return tuple(_lacking(wanted, may, may_group))


def _lacking(
    wanted: tuple[Right, ...], topics: Mapping[str, frozenset[str] | None], group: frozenset[str] | None
) -> Iterator[Right]:
    for right in wanted:
        has = group if right.kind == "group" else topics[right.name]
        if has is not None and right.operation.upper() not in has:
            yield right


def _operations(name: str, answer: Future[Any]) -> frozenset[str] | None:
    """What this user may do; None where that isn't known."""
    try:
        found = answer.result(2 * SECONDS).authorized_operations
    except KafkaException as error:
        code = error.args[0].code()
        if code in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}:
            return frozenset()
        if code in _UNANSWERED | {KafkaError.UNKNOWN_TOPIC_OR_PART}:
            return None
        raise fault(error.args[0], f"asking for the rights to {name}") from error
    return None if found is None else frozenset(operation.name for operation in found)
