"""An element that names a topic-partition which isn't there holds nothing up: its text is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.brokers.login import Login
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.ledger.roll_forward import roll_forward
from tests.kafka_events import element, payload
from tests.sink_delivery import Connector, Hooked, KilledError, killed_at, places

if TYPE_CHECKING:
    from local_emulator.kafka.embedded import EmbeddedBroker

NOWHERE = payload(element(1), element(2, topic="no-such-topic", value=7), element(3, partition=99, value=7))


def connector(broker: EmbeddedBroker) -> Connector:
    broker.create_topic("orders", 1)
    made = Connector()
    configuration = {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "error_cb": Login()}
    made.originals = KafkaOriginals(configuration, "g")  # type: ignore[assignment] # it's another implementation
    return made


def test_the_text_of_the_element_is_kept_and_the_rest_is_written(embedded_kafka: EmbeddedBroker) -> None:
    made = connector(embedded_kafka)
    made.deliver(NOWHERE)
    assert made.visible == places(1)
    assert sorted((letter.topic, letter.partition, letter.offset, letter.form) for letter in made.letters.letters) == [
        ("no-such-topic", 0, 2, "event"),
        ("orders", 99, 3, "event"),
    ]
    assert made.state.pending == {}


def test_without_the_element_it_stays_pending(embedded_kafka: EmbeddedBroker) -> None:
    made = connector(embedded_kafka)
    line = made.line(ledger=Hooked(made.ledger(), {"append": killed_at("Settle")}))
    with pytest.raises(KilledError):
        made.deliver(payload(element(3, partition=99, value=7)), line)
    (pending,) = made.state.pending.values()
    with pytest.raises(RefusedError, match="orders-99"):
        roll_forward(pending, made.services(), Deadline.after(30))
    assert len(made.state.pending) == 1
