"""The ledger in Kafka: the contract on both brokers, and on a real one with compaction at work."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from msgspec import structs

from fc_powertools import Deadline
from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.login import LoginAdmin
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from kafka_maxcompute.errors import (
    ConfigurationError,
    DeadlineError,
    LedgerError,
    RefusedError,
    UnavailableError,
)
from kafka_maxcompute.ledger import marks, offset_topic, source_topics
from kafka_maxcompute.ledger.identity import Observed, check, genesis
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.log import PositionLostError
from kafka_maxcompute.ledger.operations import Identity, State
from local_emulator.kafka.embedded import EmbeddedBroker
from tests.deadlines import soon
from tests.kafka_fixtures import APACHE
from tests.ledger_contract import CountedLog, LedgerContract
from tests.ledger_entries import GENESIS, PLACE, claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kafka_maxcompute.ledger.log import LogRecord
    from local_emulator.kafka.apache import ApacheBroker
    from local_emulator.kafka.broker import Broker

COMPACTED = {"cleanup.policy": "compact"}
ALWAYS_COMPACTED = {
    **COMPACTED,
    # A new segment with nearly every append, and each closed one is dirty enough.
    "segment.bytes": "16384",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "100",
    "delete.retention.ms": "100",
}


def make_topic(broker: Broker, **config: str) -> str:
    """A new offset topic of two topic-partitions."""
    name = f"offsets-{uuid.uuid4().hex[:12]}"
    if isinstance(broker, EmbeddedBroker):
        broker.create_topic(name, 2)
    else:
        new = NewTopic(name, num_partitions=2, replication_factor=1, config=config)
        admin = AdminClient(properties(broker))  # kept until the topic is there: the answer ends with it
        admin.create_topics([new])[name].result(30)
    return name


def properties(broker: Broker) -> dict[str, Any]:
    return {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}


@pytest.fixture
def opened() -> Iterator[list[KafkaLog]]:
    """Logs that are closed in the end."""
    logs: list[KafkaLog] = []
    yield logs
    for log in logs:
        log.close()


def connector(broker: Broker, topic: str, opened: list[KafkaLog]) -> Callable[[], KafkaLog]:
    def connect() -> KafkaLog:
        opened.append(KafkaLog(properties(broker), topic))
        return opened[-1]

    return connect


@pytest.fixture
def connect(broker: Broker, opened: list[KafkaLog]) -> Callable[[], KafkaLog]:
    return connector(broker, make_topic(broker, **COMPACTED), opened)


class TestKafka(LedgerContract):
    """On the embedded broker and on a real one."""


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_compaction_takes_what_snapshots_cover_and_changes_nothing(
    apache_kafka: ApacheBroker, opened: list[KafkaLog]
) -> None:
    connect = connector(apache_kafka, make_topic(apache_kafka, **ALWAYS_COMPACTED), opened)
    writer, log = LogLedger(connect(), snapshot_every=50), connect()
    writer.append(GENESIS, soon())
    warm = LogLedger(log)
    warm.read(soon())
    LedgerContract.work(writer, 1_000)
    ends = Deadline.after(90.0)
    while (kept := len(all_records(log))) > 500 and not ends.expired:
        # The segment in use is never compacted: each round begins another.
        LedgerContract.work(writer, 1)
        time.sleep(0.3)
    start, end = log.start(soon()), log.end(soon())
    assert (start, kept <= 500, end > 2_000) == (0, True, True), f"{kept} records of {end} are left"
    cold = CountedLog(connect())
    state = LogLedger(cold).read(soon())
    assert state == writer.read(soon()) == warm.read(soon())
    assert state.settled == {PLACE: ((0, 9_999),)}
    assert cold.read < 500


def read(log: KafkaLog, start: int, end: int) -> list[LogRecord]:
    """The records before an end; one reading may give a part of them."""
    found: list[LogRecord] = []
    while start < end:
        records, start = log.records(start, soon())
        found += records
    return found


def all_records(log: KafkaLog) -> list[int]:
    """The offsets that are left in the log."""
    return [record.offset for record in read(log, log.start(soon()), log.end(soon()))]


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_ledger_whose_topic_is_deleted_or_made_anew_is_refused(
    apache_kafka: ApacheBroker, opened: list[KafkaLog]
) -> None:
    topic = make_topic(apache_kafka, **COMPACTED)
    ledger = LogLedger(connector(apache_kafka, topic, opened)())
    ledger.append(GENESIS, soon())
    LedgerContract.work(ledger, 5)
    ledger.read(soon())
    admin = AdminClient(properties(apache_kafka))
    admin.delete_topics([topic])[topic].result(30)
    while topic in admin.list_topics(timeout=10).topics:
        time.sleep(0.05)
    new = NewTopic(topic, num_partitions=2, replication_factor=1, config=COMPACTED)
    admin.create_topics([new])[topic].result(30)
    while topic not in admin.list_topics(timeout=10).topics:  # the answer comes before the broker itself knows it
        time.sleep(0.05)
    with pytest.raises(LedgerError, match="Genesis"):
        ledger.read(soon())


@pytest.fixture
def log(embedded_kafka: EmbeddedBroker, opened: list[KafkaLog]) -> KafkaLog:
    """A log of three operations on the embedded broker."""
    log = connector(embedded_kafka, make_topic(embedded_kafka), opened)()
    ledger = LogLedger(log)
    ledger.append(GENESIS, soon())
    ledger.append(claim("s", 0, 9), soon())
    ledger.append(claim("t", 10, 19), soon())
    return log


def test_a_lost_beginning_is_told(embedded_kafka: EmbeddedBroker, log: KafkaLog) -> None:
    ledger = LogLedger(log)
    ledger.read(soon())
    embedded_kafka.delete_records(topic_of(log), 0, 2)
    ledger.append(claim("u", 20, 29), soon())
    assert set(ledger.read(soon()).pending) == {"s", "t", "u"}  # it goes on from where it was
    with pytest.raises(PositionLostError):
        log.records(0, soon())
    with pytest.raises(LedgerError, match=r"start at 2 .* cleanup.policy to compact"):
        LogLedger(log).read(soon())


def test_a_log_that_goes_on_after_an_error(embedded_kafka: EmbeddedBroker, log: KafkaLog) -> None:
    embedded_kafka.delete_records(topic_of(log), 0, 2)
    with pytest.raises(PositionLostError):
        log.records(0, soon())
    assert [record.offset for record in log.records(2, soon())[0]] == [2]


def test_nothing_comes_before_the_time_is_up(log: KafkaLog) -> None:
    with pytest.raises(UnavailableError, match="from offset 3 on, none came in time"):
        log.records(3, Deadline.after(0.3))


def test_brokers_that_are_gone_are_waited_for_as_long_as_there_is_time(
    embedded_kafka: EmbeddedBroker, log: KafkaLog
) -> None:
    assert (log.start(soon()), log.end(soon())) == (0, 3)
    embedded_kafka.stop()
    with pytest.raises(UnavailableError):
        log.end(Deadline.after(1.0))
    with pytest.raises(UnavailableError):
        log.records(0, Deadline.after(1.0))
    with pytest.raises(DeadlineError, match="may be in the log or not"):
        log.append(b"key", b"value", Deadline.after(1.0))


def test_a_topic_that_isnt_there_is_named(embedded_kafka: EmbeddedBroker, opened: list[KafkaLog]) -> None:
    log = connector(embedded_kafka, "nowhere", opened)()
    with pytest.raises(RefusedError, match=r"nowhere-0: .* create the topic"):
        log.end(soon())


def test_tombstones_come_after_what_they_end(log: KafkaLog) -> None:
    keys = [record.key for record in read(log, 0, 3)]
    assert len(keys) == 3
    log.tombstone([], soon())
    log.tombstone(keys, soon())
    assert [(record.key, record.value) for record in read(log, 3, 6)] == [(key, None) for key in keys]


def test_a_message_that_is_too_large_is_refused(log: KafkaLog) -> None:
    with pytest.raises(RefusedError, match="appending to offsets-"):
        log.append(b"key", bytes(2_000_000), soon())


def topic_of(log: KafkaLog) -> str:
    return log._topic


def identified(known: dict[str, str]) -> Identity | None:
    return genesis("orders", "p.t", 1, known).identity


def state_of(place: tuple[str, int], known: dict[str, str]) -> State:
    return State(generation=1, identity=identified(known), settled={place: ((0, 0),)}, timestamps={place: 5})


def observed(broker: ApacheBroker, state: State, latest: int) -> Observed:
    """What there is of a topic-partition whose settled record comes again with that time."""
    (place,) = state.settled
    asked = source_topics.SourceTopics(properties(broker), KafkaOriginals(properties(broker), "reads"))
    found = asked.observed(state, {place: ((0, 0),)}, {place: latest}, soon())
    return replace(found, table="p.t", table_created=1)


def recreate(broker: ApacheBroker, topic: str) -> None:
    admin = AdminClient(properties(broker))
    admin.delete_topics([topic])[topic].result(30)
    while topic in admin.list_topics(timeout=10).topics:
        time.sleep(0.05)
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result(30)


def fill(broker: ApacheBroker, topic: str, values: list[bytes]) -> None:
    """Records of one time."""
    producer = Producer(properties(broker))
    for value in values:
        producer.produce(topic, value, b"key", 0, timestamp=5)
    assert producer.flush(20) == 0


class TestTopics:
    """What brokers say of the offset topic and the source topics."""

    @pytest.mark.parametrize("broker", ["embedded_kafka", APACHE], indirect=True)
    def test_a_compacted_topic_is_as_it_should_be(self, broker: Broker) -> None:
        offset_topic.check(LoginAdmin(properties(broker)), make_topic(broker, **COMPACTED), soon())

    @pytest.mark.parametrize("broker", ["embedded_kafka", APACHE], indirect=True)
    def test_a_topic_that_isnt_there(self, broker: Broker) -> None:
        with pytest.raises(RefusedError, match=r"expected an offset topic nowhere, found none; .*apply, which"):
            offset_topic.check(LoginAdmin(properties(broker)), "nowhere", soon())

    @pytest.mark.java
    @pytest.mark.xdist_group("apache_kafka")
    def test_a_topic_that_would_lose_the_ledger(self, apache_kafka: ApacheBroker) -> None:
        topic = make_topic(
            apache_kafka, **{"cleanup.policy": "compact,delete", "unclean.leader.election.enable": "true"}
        )
        with pytest.raises(ConfigurationError) as caught:
            offset_topic.check(LoginAdmin(properties(apache_kafka)), topic, soon())
        policy, election = caught.value.faults
        assert f"offset topic {topic}: expected cleanup.policy compact, found compact,delete" in policy
        assert "unclean.leader.election.enable false, found true" in election

    @pytest.mark.parametrize("broker", ["embedded_kafka", APACHE], indirect=True)
    def test_the_ends_of_source_topics(self, broker: Broker, topic: str, opened: list[KafkaLog]) -> None:
        connector(broker, topic, opened)().append(b"key", b"value", soon())
        places = [(topic, 0), (topic, 2)]
        with source_topics.open_consumer(properties(broker)) as client:
            assert log_bounds.bounds(client, places, soon()) == {(topic, 0): (0, 1), (topic, 2): (0, 0)}

    def test_an_embedded_broker_has_topic_ids(self, embedded_kafka: EmbeddedBroker) -> None:
        one, other = make_topic(embedded_kafka), make_topic(embedded_kafka)
        found = source_topics.ids(LoginAdmin(properties(embedded_kafka)), [one, other], soon())
        assert found.keys() == {one, other}
        assert found[one] != found[other]

    @pytest.mark.java
    @pytest.mark.xdist_group("apache_kafka")
    def test_a_topic_made_anew_is_told_by_its_id_and_its_end(
        self, apache_kafka: ApacheBroker, opened: list[KafkaLog]
    ) -> None:
        topic = make_topic(apache_kafka)
        place, known = (topic, 0), source_topics.ids(LoginAdmin(properties(apache_kafka)), [topic], soon())
        assert known.keys() == {topic}
        connector(apache_kafka, topic, opened)().append(b"key", b"value", soon())
        state = state_of(place, known)
        check(state, observed(apache_kafka, state, 5))
        recreate(apache_kafka, topic)
        with pytest.raises(LedgerError) as caught:
            check(state, observed(apache_kafka, state, 6))
        message = str(caught.value)
        assert f"topic {topic}: expected the topic with id {known[topic]}, found" in message
        assert f"{topic}-0: expected its log to reach beyond settled offset 0, found its end at 0" in message
        assert "later than 5, found 6" in message

    @pytest.mark.java
    @pytest.mark.xdist_group("apache_kafka")
    def test_without_an_id_the_marked_record_tells_a_topic_that_was_filled_again(
        self, apache_kafka: ApacheBroker
    ) -> None:
        topic = make_topic(apache_kafka)
        place, originals = (topic, 0), KafkaOriginals(properties(apache_kafka), "reads")
        fill(apache_kafka, topic, [b"a", b"b", b"c"])
        (mark,) = marks.of_logs({place: (0, 3)}, originals, soon()).values()
        assert mark.offset == 2
        state = structs.replace(state_of(place, {}), marks={place: mark})
        check(state, observed(apache_kafka, state, 5))
        recreate(apache_kafka, topic)
        fill(apache_kafka, topic, [b"a", b"b", b"corrected"])
        with pytest.raises(LedgerError, match=f"{topic}-0: expected the record at offset 2 .* found another"):
            check(state, observed(apache_kafka, state, 5))
        (mark,) = marks.of_logs({place: (0, 3)}, originals, soon()).values()
        state = structs.replace(state, marks={place: mark})
        check(state, observed(apache_kafka, state, 5))
        fill(apache_kafka, topic, [b"d"])
        admin = AdminClient(properties(apache_kafka))
        (deleted,) = admin.delete_records([TopicPartition(*place, 3)]).values()
        deleted.result(30)
        with pytest.raises(LedgerError, match=f"(?s)nothing proves .*{topic}-0: .* no record there"):
            check(state, observed(apache_kafka, state, 5))
        # Where brokers tell a topic's id, what retention deletes stops nobody.
        state = structs.replace(
            state, identity=identified(source_topics.ids(LoginAdmin(properties(apache_kafka)), [topic], soon()))
        )
        check(state, observed(apache_kafka, state, 5))

    def test_the_id_of_a_topic_that_isnt_there(self, broker: Broker) -> None:
        with pytest.raises(RefusedError, match="id of topic nowhere"):
            source_topics.ids(LoginAdmin(properties(broker)), ["nowhere"], soon())
