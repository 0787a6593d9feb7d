"""The status topic holds the last word on each topic-partition, seldom written, and never stands in a batch's way."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.brokers.appending import Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.status_topic import ERROR_CHARACTERS, EVERY_SECONDS, Status, StatusTopic, encode, latest
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from local_emulator.kafka.embedded import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.kafka.apache import ApacheBroker

TOPIC = "connect-status-orders"
RUNNING = Status(connector="orders", state="running", topic="orders", partition=0, offset=41)
FAILING = Status(connector="orders", state="failing", topic="orders", partition=0, offset=41, error="no table")


def deadline() -> Deadline:
    return Deadline.after(30)


def read(broker: EmbeddedBroker, partitions: int = 6) -> list[Original]:
    originals = KafkaOriginals({"bootstrap.servers": broker.bootstrap_servers}, "connect-orders")
    wanted = {(TOPIC, partition): ((0, 2**62),) for partition in range(partitions)}
    return [record for _, _, record in originals.stream(wanted, deadline())]


@pytest.fixture
def broker(embedded_kafka: EmbeddedBroker) -> EmbeddedBroker:
    embedded_kafka.create_topic(TOPIC, 6)
    return embedded_kafka


@pytest.fixture
def clock() -> list[float]:
    """The present, for tests to move on."""
    return [0.0]


@pytest.fixture
def topic(broker: EmbeddedBroker, clock: list[float]) -> StatusTopic:
    appender = Appender({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    return StatusTopic(appender, TOPIC, clock=lambda: clock[0])


@pytest.fixture
def write(topic: StatusTopic) -> Callable[[Status], None]:
    return lambda status: topic.write([status], deadline())


def test_a_status_is_written_when_it_is_new_and_at_most_once_in_ten_seconds(
    broker: EmbeddedBroker, clock: list[float], write: Callable[[Status], None]
) -> None:
    def states() -> list[str]:
        return [status.state for record in read(broker) for status in latest([record], "orders").values()]

    write(RUNNING)
    assert states() == ["running"]
    write(FAILING)
    assert states() == ["running"]  # it's too soon
    clock[0] = EVERY_SECONDS
    write(RUNNING)
    assert states() == ["running"]  # it's nothing new
    write(FAILING)
    assert states() == ["running", "failing"]


def test_each_topic_partition_has_its_own_pace_and_the_last_word_of_each_is_found(
    broker: EmbeddedBroker, clock: list[float], write: Callable[[Status], None]
) -> None:
    whole = Status(connector="orders", state="paused")
    other = Status(connector="orders", state="running", topic="orders", partition=1, offset=7)
    for status in (RUNNING, other, whole, Status(connector="others", state="running")):
        write(status)
    clock[0] = EVERY_SECONDS
    write(FAILING)

    found = latest(read(broker), "orders")

    assert {key.decode(): (status.state, status.offset, status.error) for key, status in found.items()} == {
        "orders/orders-0": ("failing", 41, "no table"),
        "orders/orders-1": ("running", 7, ""),
        "orders": ("paused", None, ""),
    }
    assert all(status.at > 0 for status in found.values())


def test_what_came_too_soon_is_written_as_soon_as_it_may_be(
    broker: EmbeddedBroker, clock: list[float], topic: StatusTopic
) -> None:
    def last() -> dict[bytes, str]:
        return {key: status.state for key, status in latest(read(broker), "orders").items()}

    other = Status(connector="orders", state="running", topic="orders", partition=1, offset=7)
    topic.write([RUNNING], deadline())
    topic.write([FAILING], deadline())
    topic.write_held(deadline())
    assert last() == {RUNNING.key: "running"}
    clock[0] = EVERY_SECONDS
    topic.write([other], deadline())  # another one's write takes it along
    assert last() == {RUNNING.key: "failing", other.key: "running"}
    topic.write([RUNNING], deadline())
    topic.write([FAILING], deadline())  # as it was: there is nothing to tell any more
    clock[0] = 2 * EVERY_SECONDS
    written = len(read(broker))
    topic.write_held(deadline())
    assert len(read(broker)) == written


def test_without_a_broker_the_failure_is_logged_and_the_batch_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedBroker({TOPIC: 1}) as stopped:
        appender = Appender({"bootstrap.servers": stopped.bootstrap_servers, "log_level": 0})

    with caplog.at_level(logging.WARNING):
        StatusTopic(appender, TOPIC).write([RUNNING], Deadline.after(0.3))

    assert [record.message for record in caplog.records] == ["status isn't written"]


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_broker_that_refuses_is_logged_and_the_batch_goes_on(
    apache_kafka: ApacheBroker, caplog: pytest.LogCaptureFixture
) -> None:
    appender = Appender({"bootstrap.servers": apache_kafka.bootstrap_servers, "log_level": 0})

    with caplog.at_level(logging.WARNING):
        StatusTopic(appender, "not a topic").write([RUNNING], deadline())

    assert [record.message for record in caplog.records] == ["status isn't written"]


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"connector": "orders", "state": "running", "v": 2}'])
def test_what_is_no_status_of_this_version_is_left_out(value: bytes | None) -> None:
    assert latest([Original(key=b"orders", value=value)], "orders") == {}


def test_a_long_error_is_shortened() -> None:
    long = Status(connector="orders", state="failing", error="x" * 9_000)

    assert latest([encode(long)], "orders")[b"orders"].error == "x" * ERROR_CHARACTERS
