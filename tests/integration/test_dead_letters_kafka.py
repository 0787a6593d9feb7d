"""Dead letters and originals mean the same in memory, on the embedded broker and on a real Apache Kafka."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fc_powertools import Deadline
from kafka_maxcompute.brokers.appending import MOST_BYTES as MOST_APPENDED
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.brokers.topic_log import SKIPPED, KafkaOriginals
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter, MemoryDeadLetters, encode, parse, size
from kafka_maxcompute.dead_letters.kafka_dead_letters import KafkaDeadLetters
from kafka_maxcompute.errors import BatchError, DeadlineError, RefusedError, UnavailableError
from local_emulator.kafka.embedded import EmbeddedBroker
from tests.kafka_fixtures import APACHE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_maxcompute.brokers.originals import Found
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetters
    from local_emulator.kafka.apache import ApacheBroker
    from local_emulator.kafka.broker import Broker

SECONDS = 30
GROUP = "connect-orders"
MOST_BYTES = 3_000
EVERYTHING = ((0, 2**62),)
LETTER = DeadLetter(
    connector="orders",
    request_id="1-5f",
    reason="invalid-utf8",
    message="expected UTF-8, found bytes that aren't",
    path="$.data.value",
    record=Original(key=b"k", value=b"\xff\x00", headers=(("trace", b"\x00"), ("trace", None)), timestamp=7),
    topic="orders",
    partition=3,
    offset=41,
)
EVENT = replace(
    LETTER, form="event", topic=None, partition=None, offset=None, record=Original(key=None, value=b'{"id": 1')
)
KEYS = VALUES = st.none() | st.binary(max_size=30)
HEADERS = st.lists(st.tuples(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8), VALUES))
RECORDS = st.builds(
    Original, key=KEYS, value=VALUES, headers=HEADERS.map(tuple), timestamp=st.integers(1, 4_102_444_800_000)
)


def deadline() -> Deadline:
    return Deadline.after(SECONDS)


def configuration(broker: Broker) -> dict[str, object]:
    return {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}


def new_topic(broker: Broker, partitions: int = 3) -> str:
    name = f"errors-{uuid.uuid4().hex[:12]}"
    broker.create_topic(name, partitions)
    return name


def logged(broker: Broker, topic: str, partitions: int = 3) -> Found:
    wanted = {(topic, partition): EVERYTHING for partition in range(partitions)}
    return KafkaOriginals(configuration(broker), GROUP).read(wanted, deadline())


Kept: TypeAlias = "tuple[DeadLetters, Callable[[], list[DeadLetter]]]"


@pytest.fixture(params=["memory", "embedded_kafka", APACHE])
def kept(request: pytest.FixtureRequest) -> Kept:
    """Dead letters of one kind, and what is found of them where they were written."""
    if request.param == "memory":
        letters = MemoryDeadLetters(MOST_BYTES)
        return letters, lambda: letters.letters
    broker: Broker = request.getfixturevalue(request.param)
    topics = [new_topic(broker), new_topic(broker)]
    writer = KafkaDeadLetters(
        Appender(configuration(broker)), error_topic=topics[0], dead_letter_topic=topics[1], most_bytes=MOST_BYTES
    )

    def found() -> list[DeadLetter]:
        return [letter for topic in topics for message in logged(broker, topic).values() if (letter := parse(message))]

    return writer, found


@pytest.fixture
def one_writer(embedded_kafka: EmbeddedBroker) -> tuple[EmbeddedBroker, KafkaDeadLetters, str]:
    """A writer to one topic-partition."""
    topic = new_topic(embedded_kafka, 1)
    writer = KafkaDeadLetters(Appender(configuration(embedded_kafka)), error_topic=topic, dead_letter_topic=topic)
    return embedded_kafka, writer, topic


def test_letters_come_back_as_they_were_written(kept: Kept) -> None:
    letters, found = kept
    written = [
        LETTER,
        replace(LETTER, offset=42, record=Original(key=None, value=None, timestamp=8)),
        replace(LETTER, offset=43, record=Original(key=b"", value=b"", timestamp=9)),
        replace(LETTER, offset=44, form="as-delivered"),
        EVENT,
    ]

    letters.write(written, deadline())

    assert found() == written


def test_a_letter_that_is_too_large_is_cut_and_the_others_are_not(kept: Kept) -> None:
    letters, found = kept
    large = replace(LETTER, record=replace(LETTER.record, value=b"v" * 9_000))

    letters.write([LETTER, large], deadline())

    whole, cut = found()
    assert whole == LETTER
    assert (cut.cut, cut.size, cut.offset) == (("value",), size(encode(large)), 41)
    assert size(encode(cut)) == MOST_BYTES


def test_no_letters_are_nothing_to_do(kept: Kept) -> None:
    letters, found = kept

    letters.write([], Deadline.after(0))

    assert found() == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=20))
def test_records_go_through_a_brokers_log_byte_for_byte(
    one_writer: tuple[EmbeddedBroker, KafkaDeadLetters, str], records: list[Original]
) -> None:
    broker, writer, topic = one_writer
    written = [replace(LETTER, partition=0, offset=offset, record=record) for offset, record in enumerate(records)]

    writer.write(written, deadline())

    assert [parse(message) for message in logged(broker, topic, 1).values()][-len(written) :] == written


def test_letters_of_a_topic_partition_stay_together_and_elements_go_to_a_topic_of_their_own(broker: Broker) -> None:
    errors, dead = new_topic(broker), new_topic(broker)
    letters = [replace(LETTER, partition=partition, offset=offset) for partition in range(5) for offset in range(3)]

    KafkaDeadLetters(Appender(configuration(broker)), error_topic=errors, dead_letter_topic=dead).write(
        [*letters, EVENT], deadline()
    )

    of = {
        (place[1], letter.partition)
        for (place, _), message in logged(broker, errors).items()
        if (letter := parse(message))
    }
    assert of == {(0, 0), (1, 1), (2, 2), (0, 3), (1, 4)}
    assert [parse(message) for message in logged(broker, dead).values()] == [EVENT]


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_topic_that_takes_little_gets_small_letters_whole_and_large_ones_cut(apache_kafka: ApacheBroker) -> None:
    topic = f"small-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": apache_kafka.bootstrap_servers})
    small = NewTopic(topic, num_partitions=3, replication_factor=1, config={"max.message.bytes": "2000"})
    admin.create_topics([small])[topic].result(SECONDS)
    large = replace(LETTER, offset=1, record=replace(LETTER.record, value=b"v" * 3_000_000))
    letters = [large, *(replace(LETTER, offset=offset) for offset in range(2, 60))]

    KafkaDeadLetters(Appender(configuration(apache_kafka)), error_topic=topic, dead_letter_topic=topic).write(
        letters, deadline()
    )

    found = {letter.offset: letter for message in logged(apache_kafka, topic).values() if (letter := parse(message))}
    assert {offset: letter.cut for offset, letter in found.items()} == {1: ("value",)} | dict.fromkeys(range(2, 60), ())
    assert found[1].size == size(encode(large))
    assert found[1].record.value


def test_a_topic_that_is_not_there_is_refused(broker: Broker) -> None:
    letters = KafkaDeadLetters(Appender(configuration(broker)), error_topic="nowhere", dead_letter_topic="nowhere")

    with pytest.raises(RefusedError, match="expected a topic nowhere, found none"):
        letters.write([LETTER], deadline())


def test_without_a_broker_nothing_is_known_and_nothing_is_gone() -> None:
    with EmbeddedBroker({"orders": 1}) as broker:
        gone = configuration(broker)

    with pytest.raises(BatchError) as writing:
        KafkaDeadLetters(Appender(gone), error_topic="orders", dead_letter_topic="orders").write(
            [LETTER], Deadline.after(0.5)
        )
    with pytest.raises(UnavailableError):
        KafkaOriginals(gone, GROUP).read({("orders", 0): EVERYTHING}, Deadline.after(0.5))

    assert writing.value.retryable


def test_appends_that_nobody_acknowledges_in_time_are_not_called_refused() -> None:
    with EmbeddedBroker({"orders": 1}) as broker:
        gone = configuration(broker)

    with pytest.raises(DeadlineError, match="expected 1 records for orders to be acknowledged in time, found 0"):
        Appender(gone).append([Append("orders", 0, LETTER.record)], Deadline.after(0.5))


def test_one_refused_append_does_not_hide_the_others(embedded_kafka: EmbeddedBroker) -> None:
    embedded_kafka.create_topic("orders", 1)
    small, large = Original(key=None, value=b"v"), Original(key=None, value=b"v" * (MOST_APPENDED + 1))

    outcomes = Appender(configuration(embedded_kafka)).append(
        [
            Append("orders", 0, small),
            Append("orders", 0, large),
            Append("orders", 7, small),
            Append("orders", 0, small),
        ],
        deadline(),
    )

    refused = {index: outcome.name() for index, outcome in enumerate(outcomes) if isinstance(outcome, KafkaError)}
    assert refused == {1: "MSG_SIZE_TOO_LARGE", 2: "_UNKNOWN_PARTITION"}
    assert [outcomes[0], outcomes[3]] == [0, 1]


def test_brokers_that_are_not_set_up_rightly_are_refused_with_what_to_mend() -> None:
    wrong = {"bootstrap.servers": "127.0.0.1:1", "security.protocol": "SSL", "ssl.ca.pem": "no certificate"}

    with pytest.raises(RefusedError, match="fix the settings of the brokers"):
        Appender(wrong).append([Append("orders", 0, LETTER.record)], deadline())
    with pytest.raises(RefusedError, match="fix the settings of the brokers"):
        KafkaOriginals(wrong, GROUP).read({("orders", 0): EVERYTHING}, deadline())


def fill(broker: Broker, topic: str, records: list[Original], partition: int = 0) -> None:
    producer = Producer({**configuration(broker), "message.max.bytes": 4_000_000})
    for record in records:
        producer.produce(
            topic,
            record.value,
            record.key,
            partition=partition,
            headers=list(record.headers),
            timestamp=record.timestamp or 0,
        )
    assert producer.flush(SECONDS) == 0


def numbered(count: int) -> list[Original]:
    return [Original(key=None, value=b"%d" % number, timestamp=number + 1) for number in range(count)]


@pytest.fixture(params=["memory", "embedded_kafka", APACHE])
def source(request: pytest.FixtureRequest) -> tuple[MemoryOriginals | KafkaOriginals, str]:
    """A topic of two topic-partitions with 10 and 3 records."""
    if request.param == "memory":
        log = {(("orders", 0), offset): record for offset, record in enumerate(numbered(10))}
        log |= {(("orders", 1), offset): record for offset, record in enumerate(numbered(3))}
        return MemoryOriginals(log), "orders"
    broker: Broker = request.getfixturevalue(request.param)
    topic = new_topic(broker, 2)
    fill(broker, topic, numbered(10))
    fill(broker, topic, numbered(3), partition=1)
    return KafkaOriginals(configuration(broker), GROUP), topic


def test_the_wanted_offsets_are_read_and_no_others(source: tuple[MemoryOriginals | KafkaOriginals, str]) -> None:
    originals, topic = source
    wanted = {(topic, 0): ((2, 3), (7, 7)), (topic, 1): ((2, 5), (90, 99))}

    found = originals.read(wanted, deadline())

    records = numbered(10)
    assert found == {
        ((topic, 0), 2): records[2],
        ((topic, 0), 3): records[3],
        ((topic, 0), 7): records[7],
        ((topic, 1), 2): records[2],
    }
    assert originals.read({}, deadline()) == {}
    assert originals.read({(topic, 1): ((3, 3),)}, deadline()) == {}


def test_many_records_are_read_in_the_order_of_the_log_and_far_ones_without_what_lies_between(broker: Broker) -> None:
    topic = new_topic(broker, 1)
    records = numbered(3 * SKIPPED)
    fill(broker, topic, records)
    originals, last = KafkaOriginals(configuration(broker), GROUP), len(records) - 1

    assert [offset for _, offset, _ in originals.stream({(topic, 0): EVERYTHING}, deadline())] == list(range(last + 1))
    far = originals.read({(topic, 0): ((1, 1), (last - 1, last))}, deadline())
    assert far == {((topic, 0), offset): records[offset] for offset in (1, last - 1, last)}


def test_what_retention_has_deleted_is_absent(embedded_kafka: EmbeddedBroker) -> None:
    topic = new_topic(embedded_kafka, 1)
    for record in numbered(6):  # batch by batch, since the embedded broker deletes whole batches
        fill(embedded_kafka, topic, [record])
    embedded_kafka.delete_records(topic, 0, 4)

    found = KafkaOriginals(configuration(embedded_kafka), GROUP).read({(topic, 0): ((2, 4),)}, deadline())

    assert found == {((topic, 0), 4): numbered(6)[4]}


def test_a_topic_that_was_deleted_is_an_error_and_its_records_are_not_called_gone(broker: Broker) -> None:
    with pytest.raises(RefusedError, match="the brokers have no nowhere-0"):
        KafkaOriginals(configuration(broker), GROUP).read({("nowhere", 0): ((0, 1),)}, deadline())


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_markers_and_aborted_records_leave_holes_that_end_no_reading(apache_kafka: ApacheBroker) -> None:
    topic = new_topic(apache_kafka, 1)
    producer = Producer({**configuration(apache_kafka), "transactional.id": topic})
    producer.init_transactions(SECONDS)
    for end in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        producer.produce(topic, b"v", partition=0)
        producer.flush(SECONDS)
        end(SECONDS)
    originals = KafkaOriginals(configuration(apache_kafka), GROUP)

    def offsets(first: int, last: int) -> list[int]:
        return [offset for _, offset in originals.read({(topic, 0): ((first, last),)}, deadline())]

    assert offsets(0, 99) == [0, 2, 4]  # 1, 3 and 5 are markers; the aborted record was there to be delivered
    assert offsets(5, 5) == []
    assert offsets(3, 3) == []


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_compacted_offsets_are_absent(apache_kafka: ApacheBroker) -> None:
    topic = f"compact-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": apache_kafka.bootstrap_servers})
    compacted = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "100",
        "delete.retention.ms": "100",
    }
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1, config=compacted)])[topic].result(
        SECONDS
    )
    originals = KafkaOriginals(configuration(apache_kafka), GROUP)
    fill(apache_kafka, topic, [Original(key=b"same", value=b"v")] * 4)

    def offsets() -> list[int]:
        return [offset for _, offset in originals.read({(topic, 0): ((0, 3),)}, deadline())]

    end = deadline()
    while offsets() and not end.expired:  # a record rolls the segment that keeps those before it from the cleaner
        fill(apache_kafka, topic, [Original(key=b"same", value=b"v")])
        time.sleep(0.2)

    assert offsets() == []
    assert [record.value for record in originals.read({(topic, 0): EVERYTHING}, deadline()).values()][-1] == b"v"
