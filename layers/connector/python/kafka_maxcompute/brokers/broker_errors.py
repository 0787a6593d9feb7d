"""What a broker's or librdkafka's error means: no answer now, or a no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from kafka_maxcompute.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from kafka_maxcompute.errors import BatchError

_REMEDIES = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "give the user the right to it",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "give the user the right to it",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "give the user the right to it",
    KafkaError.SASL_AUTHENTICATION_FAILED: "fix sasl_username, sasl_password or sasl_mechanism",
    KafkaError._AUTHENTICATION: "fix sasl_username, sasl_password or sasl_mechanism",  # noqa: SLF001 - its public name
    KafkaError._UNKNOWN_TOPIC: "create the topic, or fix its name",  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or fix its name",
    KafkaError._UNKNOWN_PARTITION: "create the topic, or fix its name",  # noqa: SLF001
    KafkaError.TOPIC_EXCEPTION: "fix the topic's name",
    KafkaError.INVALID_TIMESTAMP: "widen the topic's message.timestamp.before.max.ms",
    KafkaError.INVALID_RECORD: "the topic doesn't take such records; if its cleanup policy is compact, make it delete",
    KafkaError._INVALID_ARG: "fix the settings of the brokers",  # noqa: SLF001
    KafkaError.MSG_SIZE_TOO_LARGE: "raise the topic's max.message.bytes",
}
"""Errors that asking again doesn't fix, each with what does."""
BROKEN = (KafkaException, SystemError)
"""What a producer's flush or poll raises when it's broken for good: confluent-kafka raises a fatal error out of the
call that learns of it, whatever error_cb says; a callback that is called while it does makes a SystemError of it."""


def fault(error: KafkaError, doing: str) -> BatchError:
    """The error to raise for one of Kafka's; `doing` says what was tried and where, such as "reading orders-3"."""
    remedy = _REMEDIES.get(error.code())
    if remedy is None:
        return UnavailableError(f"{doing}: the brokers didn't do it: {error.name()}: {error.str()}")
    return RefusedError(f"{doing}: the brokers refused: {error.str()}; {remedy}", code=error.name())


def is_fatal(error: KafkaError) -> bool:
    """Whether the client that says so is of no use any more: a producer whose numbers and the broker's don't match.

    What is said to everything that it's given from then on has just this code.
    """
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - its public name
