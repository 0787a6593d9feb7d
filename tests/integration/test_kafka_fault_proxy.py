"""The proxy that lets Kafka's requests go wrong: its faults as clients meet them, and what the log holds then."""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from local_emulator.kafka.log_ends import log_ends
from tests.faults.kafka_proxy import KafkaProxy
from tests.kafka_fixtures import APACHE
from tests.stream_clients import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.broker import Broker
    from tests.faults.kafka_proxy import What

QUIET = {"log_level": 0, "error_cb": lambda _: None}


@pytest.fixture
def proxy(broker: Broker) -> Iterator[KafkaProxy]:
    with KafkaProxy(broker.bootstrap_servers) as started:
        yield started


def produce(proxy: KafkaProxy, topic: str, value: bytes = b"v", **more: object) -> KafkaError | None:
    """Send one record, with few retries; what the client says of it."""
    said: list[KafkaError | None] = []
    producer = Producer(
        {
            "bootstrap.servers": proxy.bootstrap_servers,
            "message.timeout.ms": 10_000,
            "socket.timeout.ms": 1_000,
            "retry.backoff.ms": 20,
            "reconnect.backoff.ms": 10,
            **QUIET,
            **more,
        }
    )
    producer.produce(topic, value, partition=1, on_delivery=lambda error, _: said.append(error))
    assert producer.flush(20) == 0
    return said[0]


def values(servers: str, topic: str, partition: int = 1) -> list[bytes | None]:
    """Everything in a topic-partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "g",
            "enable.partition.eof": True,
            "socket.timeout.ms": 1_000,
            **QUIET,
        }
    )
    found: list[bytes | None] = []
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        while (message := consumer.poll(20)) is not None:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return found
            if error is not None:
                raise KafkaException(error)
            found.append(message.value())
        raise AssertionError("no end was seen")
    finally:
        consumer.close()


def test_all_passes_and_every_connection_leads_through_the_proxy(proxy: KafkaProxy, topic: str) -> None:
    assert produce(proxy, topic) is None
    assert values(proxy.bootstrap_servers, topic) == [b"v"]
    # A client that went to the broker's own address after the first answer would never meet it.
    fault = proxy.arm("reset", "Produce", topic)
    assert produce(proxy, topic) is None
    assert fault.fired == 1


@pytest.mark.parametrize("what", ["reset", "silence"])
def test_what_isnt_passed_on_isnt_applied(proxy: KafkaProxy, broker: Broker, topic: str, what: What) -> None:
    fault = proxy.arm(what, "Produce", topic)
    assert produce(proxy, topic, retries=0) is not None
    assert (fault.fired, values(broker.bootstrap_servers, topic)) == (1, [])
    assert produce(proxy, topic) is None
    assert values(broker.bootstrap_servers, topic) == [b"v"]


@pytest.mark.parametrize("what", ["lost", "truncated"])
def test_what_is_passed_on_is_applied_though_nobody_learns_it(
    proxy: KafkaProxy, broker: Broker, topic: str, what: What
) -> None:
    # A topic that was made just now can have no leader yet, and a broker refuse what comes for it.
    assert produce(proxy, topic, b"first") is None
    fault = proxy.arm(what, "Produce", topic)
    assert produce(proxy, topic, retries=0) is not None
    assert fault.fired == 1
    # The client may have had enough before a busy broker has applied it.
    assert eventually(lambda: values(broker.bootstrap_servers, topic) == [b"first", b"v"])


@pytest.mark.parametrize("broker", [APACHE], indirect=True)
@pytest.mark.parametrize("what", ["reset", "lost", "truncated", "silence"])
def test_an_idempotent_producer_gets_its_record_in_once(
    proxy: KafkaProxy, broker: Broker, topic: str, what: What
) -> None:
    fault = proxy.arm(what, "Produce", topic, times=2)
    idempotent: dict[str, Any] = {"enable.idempotence": True}
    assert produce(proxy, topic, **idempotent) is None
    assert (fault.fired, values(broker.bootstrap_servers, topic)) == (2, [b"v"])


def test_an_error_is_the_brokers_answer_and_nothing_is_applied(proxy: KafkaProxy, broker: Broker, topic: str) -> None:
    fault = proxy.arm("error", "Produce", topic, error="TOPIC_AUTHORIZATION_FAILED")
    error = produce(proxy, topic)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert (fault.fired, values(broker.bootstrap_servers, topic)) == (1, [])


@pytest.mark.parametrize("error", ["NOT_LEADER_OR_FOLLOWER", "NOT_ENOUGH_REPLICAS"])
def test_an_error_that_passes_is_overcome(proxy: KafkaProxy, broker: Broker, topic: str, error: str) -> None:
    fault = proxy.arm("error", "Produce", topic, error=error, times=2)
    assert produce(proxy, topic) is None
    assert (fault.fired, values(broker.bootstrap_servers, topic)) == (2, [b"v"])


def test_a_delay_comes_before_the_answer(proxy: KafkaProxy, topic: str) -> None:
    fault = proxy.arm("delay", "Produce", topic, seconds=0.2)
    assert produce(proxy, topic) is None
    assert fault.fired == 1


@pytest.mark.parametrize("what", ["reset", "lost", "truncated", "silence"])
def test_a_consumer_reads_on_after_what_went_wrong(proxy: KafkaProxy, topic: str, what: What) -> None:
    assert produce(proxy, topic) is None
    fault = proxy.arm(what, "Fetch", topic)
    assert values(proxy.bootstrap_servers, topic) == [b"v"]
    assert fault.fired == 1


def test_errors_of_fetches_and_of_questions_for_offsets(proxy: KafkaProxy, topic: str) -> None:
    assert produce(proxy, topic) is None
    refused = proxy.arm("error", "Fetch", topic, error="NOT_ENOUGH_REPLICAS")
    with pytest.raises(KafkaException, match="Not enough in-sync replicas"):
        values(proxy.bootstrap_servers, topic)
    assert refused.fired
    proxy.clear()
    fetch = proxy.arm("error", "Fetch", topic, error="NOT_LEADER_OR_FOLLOWER")
    assert values(proxy.bootstrap_servers, topic) == [b"v"]
    offsets = proxy.arm("error", "ListOffsets", topic, error="TOPIC_AUTHORIZATION_FAILED")
    consumer = Consumer({"bootstrap.servers": proxy.bootstrap_servers, "group.id": "g", **QUIET})
    place = TopicPartition(topic, 1)
    try:
        with pytest.raises(KafkaException, match="authorization"):
            log_ends(consumer, [place], 5)
        assert log_ends(consumer, [place], 5) == {(topic, 1): (0, 1)}
    finally:
        consumer.close()
    assert (fetch.fired, offsets.fired) == (1, 1)


def test_a_fault_is_for_one_topic_and_one_kind_and_can_be_taken_back(
    proxy: KafkaProxy, broker: Broker, topic: str
) -> None:
    other = f"others-{uuid.uuid4().hex[:12]}"
    broker.create_topic(other, 3)
    faults = [proxy.arm("reset", "Produce", other), proxy.arm("reset", "Fetch", topic)]
    assert produce(proxy, topic) is None
    assert [fault.fired for fault in faults] == [0, 0]
    proxy.clear()
    assert produce(proxy, other) is None
    assert [fault.fired for fault in faults] == [0, 0]


def test_an_end_while_connections_come_and_go_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    unclosed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: unclosed.append(told.exc_value))
    with socket.create_server(("127.0.0.1", 0)) as broker:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # the end of the test
                while True:
                    broker.accept()[0].close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        host, port = broker.getsockname()
        for _ in range(10):
            with KafkaProxy(f"{host}:{port}") as proxy:
                place = host, int(proxy.bootstrap_servers.partition(":")[2])
                clients = [socket.create_connection(place) for _ in range(20)]
            for client in clients:
                client.close()
        broker.shutdown(socket.SHUT_RDWR)
        hanging_up.join()
    gc.collect()
    assert unclosed == []
