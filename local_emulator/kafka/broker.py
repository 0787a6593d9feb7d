"""The Kafka of the local cloud: `embedded`, `apache`, or the user's own broker at host:port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from local_emulator.foundation.stoppable import Stoppable
from local_emulator.kafka import kept_records
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.apache import ApacheBroker
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

ANSWER_SECONDS = 15.0
"""How long the user's own broker may take to answer the first request."""


class Broker(Protocol):
    """A broker as the rest of the local cloud uses it."""

    bootstrap_servers: str
    retention_bytes: int | None
    """The bytes that a topic-partition keeps before it drops its oldest records; None: more than are sent."""

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with this number of topic-partitions."""

    def stop(self) -> None:
        """Stop the broker and remove its data."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


@dataclass(slots=True)
class OwnBroker(Stoppable):
    """The user's own broker: absent topics are created, and the broker isn't stopped."""

    bootstrap_servers: str
    retention_bytes: int | None = None

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with this number of topic-partitions, unless the topic exists."""
        kafka_topics.create_missing(self.bootstrap_servers, {name: partitions})

    def stop(self) -> None:
        """Do nothing: the user runs this broker."""


def is_own(setting: str) -> bool:
    """Return whether the setting names the user's own broker."""
    return setting not in {"embedded", "apache"}


def open_broker(setting: str, topics: Mapping[str, int], data_dir: Path | None = None) -> Broker:
    """Start the broker that the setting names, or connect to it; create these topics (name: count of topic-partitions).

    With `data_dir`, the broker has the topics and records that an earlier one has kept there.
    Raises BrokerError, which says what to do.
    """
    if setting == "embedded":
        return _embedded(topics, data_dir)
    if setting == "apache":
        return ApacheBroker(topics, folder=None if data_dir is None else data_dir / "kafka")
    if not re.fullmatch(r"[^\s:,]+:\d{1,5}(,[^\s:,]+:\d{1,5})*", setting):
        raise BrokerError(f"the broker must be embedded, apache, or host:port of a running one; found {setting!r}")
    kafka_topics.await_broker(setting, ANSWER_SECONDS)
    kafka_topics.create_missing(setting, topics)
    return OwnBroker(setting)


def _embedded(topics: Mapping[str, int], data_dir: Path | None) -> EmbeddedBroker:
    """Start the embedded broker, with the kept records of an earlier one."""
    if data_dir is None:
        return EmbeddedBroker(topics)
    broker = EmbeddedBroker()
    try:
        kept_records.restore(broker, data_dir)
        existing = kafka_topics.client(broker.bootstrap_servers).list_topics(timeout=ANSWER_SECONDS).topics
        for name in topics.keys() - existing.keys():
            broker.create_topic(name, topics[name])
    except BaseException:
        broker.stop()
        raise
    return broker
