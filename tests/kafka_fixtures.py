"""Kafka brokers for tests: a real one for the whole run of a worker, an embedded one for each test."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition

from local_emulator.kafka.apache import ApacheBroker
from local_emulator.kafka.embedded import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.broker import Broker

APACHE = pytest.param("apache_kafka", marks=[pytest.mark.java, pytest.mark.xdist_group("apache_kafka")])
"""A parameter for the fixture `broker`: its tests run on one worker, and so share one JVM."""


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[ApacheBroker]:
    """A real Apache Kafka without topics; tests make their own, with names of their own."""
    with ApacheBroker() as broker:
        yield broker


@pytest.fixture
def embedded_kafka() -> Iterator[EmbeddedBroker]:
    """An embedded broker without topics."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(params=["embedded_kafka", APACHE])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each broker in turn."""
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def topic(broker: Broker) -> str:
    """A new topic of three topic-partitions."""
    name = f"orders-{uuid.uuid4().hex[:12]}"
    broker.create_topic(name, 3)
    return name


def committed(broker: Broker, group: str, topic: str, partitions: int = 3) -> list[int]:
    """The group's committed offset of each topic-partition; -1001 where there is none."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": group, "log_level": 0})
    try:
        wanted = [TopicPartition(topic, partition) for partition in range(partitions)]
        return [one.offset for one in consumer.committed(wanted, timeout=10)]
    finally:
        consumer.close()
