"""A producer whose numbers and the broker's don't match any more is replaced, so that the next attempt succeeds."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from fc_powertools import Deadline
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from local_emulator.kafka import librdkafka

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.kafka.embedded import EmbeddedBroker

PRODUCE = 0
"""The key of the request in Kafka's protocol."""
ATTEMPTS = 3
"""The one that fails, one more that may find out that its producer is broken, and one that succeeds."""


def refuse_once(broker: EmbeddedBroker) -> None:
    """Let the broker answer the next Produce as if it had lost count."""
    push = librdkafka.load().rd_kafka_mock_push_request_errors_array
    push.restype = None
    push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)]
    push(broker._cluster, PRODUCE, 1, (ctypes.c_int * 1)(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER))


def configuration(broker: EmbeddedBroker) -> dict[str, object]:
    return {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "error_cb": lambda _: None}


def succeeds_soon(attempt: Callable[[], bool]) -> list[bool]:
    """What became of each attempt until one succeeds."""
    outcomes: list[bool] = []
    while len(outcomes) < ATTEMPTS and not (outcomes and outcomes[-1]):
        outcomes.append(attempt())
    return outcomes


def test_the_ledgers_log_goes_on_after_a_fatal_error(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("offset", 1)
    log = KafkaLog(configuration(embedded_kafka), "offset")

    def appended() -> bool:
        try:
            return (log.append(b"key", b"value", Deadline.after(20)) or 0) >= 0
        except UnavailableError:
            return False

    assert appended()
    refuse_once(embedded_kafka)
    outcomes = succeeds_soon(appended)
    log.close()
    assert (outcomes[0], outcomes[-1]) == (False, True)


def test_an_appender_goes_on_after_a_fatal_error(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("errors", 1)
    appender = Appender(configuration(embedded_kafka))
    append = Append("errors", 0, Original(key=b"key", value=b"value"))

    def appended() -> bool:
        try:
            return isinstance(appender.append([append], Deadline.after(20))[0], int)
        except UnavailableError:
            return False

    assert appended()
    refuse_once(embedded_kafka)
    outcomes = succeeds_soon(appended)
    assert (outcomes[0], outcomes[-1]) == (False, True)
