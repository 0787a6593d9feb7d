"""The embedded broker: librdkafka's mock cluster, in this process, without a JVM.

The broker speaks Kafka's protocol to real clients: produce, fetch, groups with commits, watermarks. It doesn't have the
request CreateTopics, so `create_topic` makes topics. It keeps few records: see RETENTION_BYTES.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from local_emulator.foundation.stoppable import Stoppable
from local_emulator.kafka import librdkafka
from local_emulator.kafka.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping


RETENTION_BYTES = 5 * 1024 * 1024
"""The bytes that a topic-partition keeps before it drops its oldest records (measured: of 35 MB acknowledged, some 5 MB
a topic-partition stayed readable); so the producer waits for the stream."""

REBALANCE_DELAY_MS = 100
"""How long a new group waits for further members; the usual 3 s would only make a start slow."""

_ERROR_TEXT_BYTES = 512


class EmbeddedBroker(Stoppable):
    """One broker on 127.0.0.1 and a free port; `topics` maps names to their count of topic-partitions."""

    retention_bytes: int | None = RETENTION_BYTES

    def __init__(self, topics: Mapping[str, int] | None = None) -> None:
        self._library = librdkafka.load()
        self._handle = self._new_handle()
        self._cluster: int | None = self._library.rd_kafka_mock_cluster_new(self._handle, 1)
        if not self._cluster:
            self._library.rd_kafka_destroy(self._handle)
            raise BrokerError(
                "librdkafka made no mock cluster; run with a real broker: KAFKA=apache or KAFKA=host:port"
            )
        # Without a controller, clients search for one until a timeout; with one, the answer is "unsupported" at once.
        self._library.rd_kafka_mock_set_controller_id(self._cluster, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, REBALANCE_DELAY_MS)
        self.bootstrap_servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        try:
            for name, partitions in (topics or {}).items():
                self.create_topic(name, partitions)
        except BrokerError:
            self.stop()
            raise

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with this number of topic-partitions; an existing topic is an error."""
        if partitions < 1:  # librdkafka would make a topic that no client can use
            raise BrokerError(f"expected topic {name} to have at least one topic-partition, found {partitions}")
        self._check(
            self._library.rd_kafka_mock_topic_create(self._running(), name.encode(), partitions, 1),
            f"creating topic {name} with {partitions} topic-partitions",
        )

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records and its groups' committed offsets; an absent topic is an error."""
        self._check(self._library.rd_kafka_mock_topic_delete(self._running(), name.encode()), f"deleting topic {name}")

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Move the log start of a topic-partition to offset `before`, as retention does."""
        self._check(
            self._library.rd_kafka_mock_partition_delete_records(self._running(), topic.encode(), partition, before),
            f"deleting the records of {topic}-{partition} before offset {before}",
        )

    def stop(self) -> None:
        """Close the listeners and free all memory; the records are gone. Further calls do nothing."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._handle)
            self._cluster = None

    def _new_handle(self) -> int:
        """Return a handle of librdkafka that doesn't log, because librdkafka would warn of absent bootstrap servers."""
        text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        configuration = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"0", text, _ERROR_TEXT_BYTES)
        handle: int | None = self._library.rd_kafka_new(librdkafka.PRODUCER, configuration, text, _ERROR_TEXT_BYTES)
        if not handle:
            self._library.rd_kafka_conf_destroy(configuration)
            raise BrokerError(f"librdkafka gave no handle for the embedded broker: {text.value.decode()}")
        return handle

    def _running(self) -> int:
        if not self._cluster:
            raise BrokerError("the embedded broker has been stopped; start a new one")
        return self._cluster

    def _check(self, code: int, doing: str) -> None:
        if code:
            raise BrokerError(f"the embedded broker refused {doing}: {self._library.rd_kafka_err2str(code).decode()}")
