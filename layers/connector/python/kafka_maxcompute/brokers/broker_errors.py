"""Translates errors of brokers and librdkafka: either the brokers can't answer now, or they refuse."""

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
"""Errors that repetition doesn't fix, each with its remedy."""
BROKEN = (KafkaException, SystemError)
"""Errors of flush or poll of a producer that is broken for good. confluent-kafka raises a fatal error from the call
that receives it, whatever error_cb does. If a callback runs at this moment, the error becomes a SystemError."""


def fault(error: KafkaError, doing: str) -> BatchError:
    """Return the error to raise for a Kafka error; `doing` says what was tried, such as "reading orders-3"."""
    remedy = _REMEDIES.get(error.code())
    if remedy is None:
        return UnavailableError(f"{doing}: failed with {error.name()}: {error.str()}")
    return RefusedError(f"{doing}: the brokers refused: {error.str()}; {remedy}", code=error.name())


def is_fatal(error: KafkaError) -> bool:
    """Whether the client is unusable after this error: a producer whose sequence numbers differ from the broker's.

    Every later record of this producer fails with the code `_FATAL`.
    """
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - its public name
