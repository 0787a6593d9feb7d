"""The clients of the brokers that an invocation shares: each is made at its first use, and closed at the end.

Each reading of a log has its own consumer (`logs`), and so has the ledger: a fetch that waits at a log's end would
delay every other request on the same connection.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import clients
from kafka_maxcompute.brokers.appending import Appender
from kafka_maxcompute.brokers.login import LoginAdmin
from kafka_maxcompute.brokers.topic_log import KafkaOriginals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.brokers.login import LoginConsumer


class BrokerClients:
    """Clients with a configuration of `broker_configuration`; consumers have the name of `group`, but don't join it."""

    def __init__(self, configuration: Mapping[str, Any], group: str) -> None:
        self.configuration = configuration
        self._group = group
        self._made = ExitStack()

    @cached_property
    def admin(self) -> LoginAdmin:
        """Return the client for topics, groups and rights."""
        client = LoginAdmin(self.configuration)
        self._made.push(client)
        return client

    @cached_property
    def asking(self) -> LoginConsumer:
        """Return the consumer for `log_bounds`, the list of topics, and the group's offsets; it has no assignment."""
        return self._made.enter_context(closing(clients.consumer(self.configuration, self._group)))

    @cached_property
    def appender(self) -> Appender:
        """Return the producer for all topics but the ledger's."""
        return self._made.enter_context(closing(Appender(self.configuration)))

    def logs(self, *, committed: bool = False) -> KafkaOriginals:
        """Return a reader of topics; `committed`: without the records of aborted transactions."""
        return KafkaOriginals(self.configuration, self._group, committed=committed)

    def close(self) -> None:
        """Close all clients."""
        self._made.close()
