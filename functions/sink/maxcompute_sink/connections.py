"""Clients of the brokers for one instance: of the ledger, the error and status topics, and the source topic's log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import login
from kafka_maxcompute.brokers.appending import Appender
from kafka_maxcompute.brokers.status_topic import StatusTopic
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from kafka_maxcompute.dead_letters.kafka_dead_letters import KafkaDeadLetters
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kafka_maxcompute.brokers.login import Login
    from kafka_maxcompute.brokers.originals import Originals
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetters
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Connections:
    """Clients of the brokers; `ledger` is None if the delivery needs none.

    `configuration` is librdkafka's, with its secrets: not to be logged.
    """

    configuration: Mapping[str, Any] = field(repr=False)
    letters: DeadLetters
    originals: Originals
    status: StatusTopic
    ledger: Ledger | None
    close: Callable[[], None]

    @property
    def login(self) -> Login:
        """The brokers' answers to the login of all these clients."""
        return login.of(self.configuration)

    def differs_from(self, configuration: Mapping[str, Any]) -> bool:
        """Return whether a configuration differs from that of these clients, such as by a changed password."""
        own, other = dict(self.configuration), dict(configuration)
        return bool(own.pop("error_cb") and other.pop("error_cb")) and own != other


def connect(settings: Settings, configuration: Mapping[str, Any]) -> Connections:
    """Create clients with a configuration of `clients.configuration`; they connect in the background."""
    letters = KafkaDeadLetters(
        Appender(configuration), error_topic=settings.error_topic, dead_letter_topic=settings.dead_letter_topic
    )
    originals = KafkaOriginals(configuration, settings.group)
    status = StatusTopic(Appender(configuration), settings.status_topic)
    if settings.delivery != "exactly-once":
        return Connections(configuration, letters, originals, status, None, lambda: None)
    log = KafkaLog(configuration, settings.offset_topic)
    return Connections(configuration, letters, originals, status, LogLedger(log), log.close)
