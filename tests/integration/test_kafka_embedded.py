"""The embedded broker with real clients, and a producer that keeps within what it can hold."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

from local_emulator.kafka.broker import open_broker
from local_emulator.kafka.consumer_group import committed_offsets
from local_emulator.kafka.embedded import RETENTION_BYTES, EmbeddedBroker
from local_emulator.kafka.errors import BrokerError, ProduceError
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from local_emulator.kafka.topics import client, count_partitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

THREADS = Path("/proc/self/task")


def read(bootstrap_servers: str, topic: str, partition: int, count: int, begin: int = 0) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader", "auto.offset.reset": "error"})
    try:
        consumer.assign([TopicPartition(topic, partition, begin)])
        found: list[Message] = []
        while len(found) < count:
            messages = consumer.consume(count - len(found), 10)
            assert messages, f"{len(found)} of {count} records came"
            assert not any(message.error() for message in messages), messages[0].error()
            found += messages
        return found
    finally:
        consumer.close()


def watermarks(bootstrap_servers: str, topic: str, partition: int) -> tuple[int, int]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    finally:
        consumer.close()


def test_records_come_back_as_they_were_sent() -> None:
    sent = [
        Record(0, 1_605_594_185_000, b"1", b"1"),
        Record(0, 1, None, "杭州".encode()),
        Record(0, 2, b"tombstone", None),
        Record(0, 3, None, b"", (("a", b"1"), ("a", b"2"), ("b", None))),
        Record(0, 4, b"large", b"x" * 2_000_000),
    ]
    with EmbeddedBroker({"orders": 2}) as broker:
        result = produce(broker.bootstrap_servers, "orders", sent)
        assert (result[0].count, result[0].first, result[0].last) == (5, 0, 4)
        found = read(broker.bootstrap_servers, "orders", 0, 5)
    assert [(m.timestamp()[1], m.key(), m.value(), tuple(m.headers() or ())) for m in found] == [
        record[1:] for record in sent
    ]


def test_topics_have_the_topic_partitions_that_were_asked_for(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("six", 6)
    embedded_kafka.create_topic("one", 1)
    assert count_partitions(embedded_kafka.bootstrap_servers, "six") == 6
    assert count_partitions(embedded_kafka.bootstrap_servers, "one") == 1
    with pytest.raises(BrokerError, match=r"creating topic six with 2 topic-partitions: .*already exists"):
        embedded_kafka.create_topic("six", 2)


def test_a_stopped_broker_leaves_no_listener_and_says_so() -> None:
    broker = open_broker("embedded", {"orders": 1})
    host, port = broker.bootstrap_servers.split(":")
    broker.stop()
    broker.stop()
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0
    with pytest.raises(BrokerError, match="has been stopped"):
        broker.create_topic("orders", 1)


def brokers() -> set[str]:
    """The threads of mock clusters in this process."""
    found = set()
    for thread in THREADS.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended
            if (thread / "comm").read_text(encoding="ascii").startswith("rdk:mock"):
                found.add(thread.name)
    return found


def test_a_broken_set_of_topics_leaves_no_broker() -> None:
    before = brokers()
    with pytest.raises(BrokerError, match="expected topic orders to have at least one topic-partition, found 0"):
        EmbeddedBroker({"orders": 0})
    assert brokers() <= before


def test_what_it_cannot_answer_is_refused_and_not_waited_for(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("asked-about", 1)
    resource = ConfigResource(ResourceType.TOPIC, "asked-about")
    admin = client(embedded_kafka.bootstrap_servers)
    asked = admin.describe_configs([resource], request_timeout=30)
    with pytest.raises(KafkaException) as caught:
        asked[resource].result(30)
    assert caught.value.args[0].code() == KafkaError._UNSUPPORTED_FEATURE


def test_it_drops_what_it_cannot_keep(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 1)
    records = [Record(0, 1, None, b"x" * 10_000) for _ in range(1500)]
    produce(embedded_kafka.bootstrap_servers, "orders", records)
    low, high = watermarks(embedded_kafka.bootstrap_servers, "orders", 0)
    assert high == 1500
    assert 0 < (high - low) * 10_000 <= RETENTION_BYTES


def test_a_producer_that_waits_for_progress_loses_nothing(embedded_kafka: EmbeddedBroker) -> None:
    """A reader that is as slow as it can be gets every record of 15 MB, three times what the broker keeps."""
    embedded_kafka.create_topic("orders", 1)
    delivered = 0
    behind: list[int] = []

    def progress() -> Mapping[tuple[str, int], int]:
        """Whoever asks has been waiting: only then are 50 further records read."""
        nonlocal delivered
        found = read(embedded_kafka.bootstrap_servers, "orders", 0, 50, begin=delivered)
        assert [message.offset() for message in found] == list(range(delivered, delivered + 50))
        delivered += 50
        behind.append(watermarks(embedded_kafka.bootstrap_servers, "orders", 0)[0])
        return {("orders", 0): delivered}

    records = (Record(0, 1, None, b"x" * 10_000) for _ in range(1500))
    sent = produce(
        embedded_kafka.bootstrap_servers, "orders", records, retention_bytes=RETENTION_BYTES, delivered=progress
    )
    assert sent[0].count == 1500
    assert behind[-1] > 0  # the log did drop records, but only delivered ones
    left = read(embedded_kafka.bootstrap_servers, "orders", 0, 1500 - delivered, begin=delivered)
    assert [message.offset() for message in left] == list(range(delivered, 1500))


def test_a_stream_that_delivers_nothing_stops_the_producer(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 1)
    records = (Record(0, 1, None, b"x" * 10_000) for _ in range(1500))
    with pytest.raises(ProduceError, match=r"delivered nothing of orders-0 for 0 s.*status"):
        produce(
            embedded_kafka.bootstrap_servers,
            "orders",
            records,
            retention_bytes=RETENTION_BYTES,
            delivered=dict,
            stalled_seconds=0.2,
        )
    assert watermarks(embedded_kafka.bootstrap_servers, "orders", 0)[0] == 0


def test_records_without_a_topic_partition_wait_for_room_in_all(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 2)
    records = (Record(None, 1, b"%d" % number, b"x" * 10_000) for number in range(1500))
    with pytest.raises(ProduceError, match=r"delivered nothing of orders for 0 s.*status"):
        produce(
            embedded_kafka.bootstrap_servers,
            "orders",
            records,
            retention_bytes=RETENTION_BYTES,
            delivered=dict,
            stalled_seconds=0.2,
        )
    assert [watermarks(embedded_kafka.bootstrap_servers, "orders", number)[0] for number in range(2)] == [0, 0]


def test_keyed_records_of_more_bytes_than_the_broker_keeps_all_arrive(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 2)
    servers, places = embedded_kafka.bootstrap_servers, [("orders", 0), ("orders", 1)]
    records = (Record(None, 1, b"%d" % number, b"x" * 10_000) for number in range(1500))
    sent = produce(
        servers,
        "orders",
        records,
        retention_bytes=RETENTION_BYTES,
        delivered=lambda: {place: watermarks(servers, *place)[1] for place in places},
    )
    assert sum(offsets.count for offsets in sent.values()) == 1500


def test_a_record_for_no_topic_partition_is_an_error(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 1)
    with pytest.raises(ProduceError, match=r"orders.*partition"):
        produce(embedded_kafka.bootstrap_servers, "orders", [Record(7, None, None, b"v")])


def test_another_process_can_ask_what_a_group_has_committed(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 2)
    produce(embedded_kafka.bootstrap_servers, "orders", [Record(1, 1, None, b"x")] * 3)
    settings = {"bootstrap.servers": embedded_kafka.bootstrap_servers, "group.id": "connect-orders"}
    consumer = Consumer(settings)
    with committed_offsets(embedded_kafka.bootstrap_servers, "connect-orders", "orders") as ask:
        assert ask() == {("orders", 0): 0, ("orders", 1): 0}
        consumer.commit(offsets=[TopicPartition("orders", 1, 3)], asynchronous=False)
        assert ask() == {("orders", 0): 0, ("orders", 1): 3}
    consumer.close()


@pytest.mark.parametrize("which", ["", "Embedded", "localhost", "localhost:", "a b:9092", "host:123456"])
def test_a_broker_that_isn_t_one_is_refused(which: str) -> None:
    with pytest.raises(BrokerError, match="must be embedded, apache, or host:port of a running one"):
        open_broker(which, {})


SENDER = """
import itertools, os, signal, threading
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
with EmbeddedBroker({"orders": 1}) as broker:
    # A thread of this process gets its turn when the sender is inside of librdkafka: there the signal arrives.
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    produce(broker.bootstrap_servers, "orders", itertools.repeat(Record(0, None, None, b"value")))
"""


def test_ctrl_c_while_records_are_sent_is_a_keyboard_interrupt() -> None:
    ran = subprocess.run([sys.executable, "-c", SENDER], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr.splitlines()[-1] == "KeyboardInterrupt"
