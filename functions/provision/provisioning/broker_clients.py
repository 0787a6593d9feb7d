"""The clients of the brokers that an invocation shares: each is made when it is first asked for, and closed at the end.

A reading has a consumer of its own that ends with it (`logs`), and so has the ledger: a fetch that waits at a log's end
would hold up every question on the same connection.
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
    """Those of a configuration of `broker_configuration`; consumers have the name of `group`, and don't join it."""

    def __init__(self, configuration: Mapping[str, Any], group: str) -> None:
        self.configuration = configuration
        self._group = group
        self._made = ExitStack()

    @cached_property
    def admin(self) -> LoginAdmin:
        """Topics, groups and rights."""
        client = LoginAdmin(self.configuration)
        self._made.push(client)
        return client

    @cached_property
    def asking(self) -> LoginConsumer:
        """For the questions of `log_bounds`, the list of topics, and the group's offsets; nothing is assigned to it."""
        return self._made.enter_context(closing(clients.consumer(self.configuration, self._group)))

    @cached_property
    def appender(self) -> Appender:
        """Whatever is appended to topics, the ledger apart."""
        return self._made.enter_context(closing(Appender(self.configuration)))

    def logs(self, *, committed: bool = False) -> KafkaOriginals:
        """What topics hold, with records of aborted transactions or without."""
        return KafkaOriginals(self.configuration, self._group, committed=committed)

    def close(self) -> None:
        """Leave the brokers."""
        self._made.close()
