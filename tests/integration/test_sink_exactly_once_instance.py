"""An instance of the sink that delivers exactly once: the MaxCompute emulator over HTTP, and an embedded broker."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec import structs
from odps import ODPS

from fc_powertools import Credentials
from fc_powertools.decorators import opened
from kafka_maxcompute.brokers import log_bounds, status_topic
from kafka_maxcompute.brokers.topic_log import record
from kafka_maxcompute.dead_letters import dead_letter
from kafka_maxcompute.errors import LedgerError, RefusedError, RejectedRecordsError
from kafka_maxcompute.ledger import identity
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Claim, decode, encode
from kafka_maxcompute.maxcompute import table_definition
from kafka_maxcompute.maxcompute.row_counts import SqlRowCounts
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.upload_sessions import commit
from kafka_maxcompute.settings.destinations import TrustedAddress
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.maxcompute import server
from maxcompute_sink.connections import Connections
from maxcompute_sink.instance import Instance
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kafka_maxcompute.brokers.originals import Original
    from kafka_maxcompute.ledger.state import State
    from local_emulator.maxcompute.server import MaxComputeServer

PROJECT = "connector_test"
PT = "11-17-2020 14"
BAD = {"value": {"no": "text"}}
TOPICS = ("orders", "connect-offset-c", "connect-status-c", "connect-error-c", "connect-dead-c")
COLUMNS = "topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING"
CREATE = "CREATE TABLE {name}(" + COLUMNS + ") PARTITIONED BY (pt STRING);"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start(project=PROJECT, access_id="ak", access_key="sk") as running:
        yield running


@dataclass
class Connector:
    """One connector with a table and topics of its own."""

    emulator: MaxComputeServer
    broker: EmbeddedBroker
    table: str
    odps: ODPS
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        given = {
            "name": "c",
            "source_topic": "orders",
            "endpoint": self.emulator.endpoint,
            "project": PROJECT,
            "table": self.table,
            "delivery": "exactly-once",
            "bootstrap_servers": self.broker.bootstrap_servers,
            "dead_letter_topic": "connect-dead-c",
        } | self.settings
        keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "ak", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "sk"}
        return keys | {f"CONNECTOR_{name.upper()}": value for name, value in given.items() if value}

    @property
    def offset_topic(self) -> str:
        return self.settings.get("offset_topic", "connect-offset-c")

    def instance(self) -> Instance:
        return Instance(self.environment)

    def handle(self, *batches: bytes, instance: Instance | None = None) -> list[dict[str, Any]]:
        """Deliver batches to an instance, a new one unless one is given."""
        used = instance or self.instance()
        context = SimpleNamespace(request_id="r1", function=SimpleNamespace(name="sink", timeout=60))
        replies = []
        try:
            for batch in batches:
                with opened(context, environment=self.environment) as invocation:
                    replies.append(used.handle(batch, invocation))
        finally:
            if instance is None:
                used.close()
        return replies

    @property
    def offsets(self) -> list[int]:
        with self.odps.get_table(self.table).open_reader(partition={"pt": PT}, arrow=False) as reader:
            return sorted(found["offset"] for found in reader)

    @property
    def state(self) -> State:
        log = KafkaLog({"bootstrap.servers": self.broker.bootstrap_servers}, self.offset_topic)
        try:
            return LogLedger(log).read(soon())
        finally:
            log.close()

    def read(self, topic: str) -> list[Original]:
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap_servers, "group.id": "reads"})
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(3)])
            count = sum(log_bounds.ends(consumer, [(topic, number) for number in range(3)], soon()).values())
            return [record(message) for message in consumer.consume(count, timeout=20)] if count else []
        finally:
            consumer.close()

    def begin(self) -> None:
        """What provisioning does: the first operation of the ledger."""
        service = Service(TrustedAddress(self.emulator.endpoint), PROJECT, Credentials("ak", "sk"))
        created = table_definition.look(service, self.table, soon()).created
        assert created is not None
        log = KafkaLog({"bootstrap.servers": self.broker.bootstrap_servers}, self.offset_topic)
        LogLedger(log).append(identity.genesis("c", f"{PROJECT}.{self.table}", created, {}), soon())
        log.close()


@pytest.fixture
def connector(emulator: MaxComputeServer, embedded_kafka: EmbeddedBroker) -> Connector:
    for topic in TOPICS:
        embedded_kafka.create_topic(topic, 3)
    producer = Producer({"bootstrap.servers": embedded_kafka.bootstrap_servers})
    for offset in range(20):
        headers: list[tuple[str, str | bytes | None]] = [("h", b"\xff"), ("h", None)]
        producer.produce("orders", b"v%d" % offset, b"k%d" % offset, 0, timestamp=HOUR_14, headers=headers)
    assert producer.flush(20) == 0
    odps = ODPS("ak", "sk", PROJECT, endpoint=emulator.endpoint, logview_host="http://127.0.0.1")
    table = f"t{next(_numbers)}"
    odps.execute_sql(CREATE.format(name=table))
    made = Connector(emulator, embedded_kafka, table, odps)
    made.begin()
    return made


def test_a_batch_that_comes_again_to_the_same_or_another_instance_is_written_once(connector: Connector) -> None:
    first = payload(element(1), element(2))
    again = payload(element(2), element(3))
    used = connector.instance()
    replies = connector.handle(first, first, again, payload(element(4)), instance=used)
    used.close()
    replies += connector.handle(again)
    assert connector.offsets == [1, 2, 3, 4]
    assert [reply["records"] for reply in replies] == [2, 0, 1, 1, 0]
    assert [reply.get("dropped", 0) for reply in replies] == [0, 2, 1, 0, 2]
    assert replies[0]["offsets"] == {"orders-0": ((1, 2),)}
    state = connector.state
    assert (state.settled, state.pending) == ({("orders", 0): ((1, 4),)}, {})


def test_bad_records_are_in_the_error_topic_as_the_log_has_them(connector: Connector) -> None:
    batch = b"[" + payload(element(1), element(2, **BAD), element(3, timestamp=-1))[1:-1] + b', {"neither": 1}]'
    for _ in range(2):
        (reply,) = connector.handle(batch)
    assert connector.offsets == [1]
    letters = [letter for found in connector.read("connect-error-c") if (letter := dead_letter.parse(found))]
    assert sorted((letter.offset, letter.reason, letter.form) for letter in letters) == [
        (2, "unexpected-event", "original"),
        (3, "timestamp-absent", "original"),
    ]
    (second,) = [letter.record for letter in letters if letter.offset == 2]
    assert (second.key, second.value, second.headers) == (b"k2", b"v2", (("h", b"\xff"), ("h", None)))
    elements = [letter for found in connector.read("connect-dead-c") if (letter := dead_letter.parse(found))]
    assert {letter.record.value for letter in elements} == {b'{"neither": 1}'}
    assert reply["dropped"] == 3
    assert connector.state.settled == {("orders", 0): ((1, 3),)}


def test_stop_writes_what_comes_before_and_fails(connector: Connector) -> None:
    connector.settings["failure_policy"] = "stop"
    with pytest.raises(RejectedRecordsError, match="orders-0-2"):
        connector.handle(payload(element(1), element(2, **BAD), element(3)))
    assert connector.offsets == [1]
    assert connector.read("connect-error-c") == []


def test_without_a_ledger_bad_records_go_to_the_error_topic_too(connector: Connector) -> None:
    connector.settings["delivery"] = "at-least-once"
    (reply,) = connector.handle(payload(element(1), element(2, **BAD)))
    assert (connector.offsets, reply["diverted"]) == ([1], 1)
    letters = [dead_letter.parse(found) for found in connector.read("connect-error-c")]
    assert [letter.offset for letter in letters if letter] == [2]


def created_again(
    connector: Connector, records: Iterable[tuple[bytes, bytes]], *, marks: bool = True
) -> EmbeddedBroker:
    """Brokers with the connector's ledger whose source topic was created again, and filled with the old times.

    The ledger knows no topic ids, as with brokers before Kafka 2.8, nor marks if it is one of an earlier release.
    """
    ledger = [one for one in connector.read("connect-offset-c") if one.value]
    broker = EmbeddedBroker(dict.fromkeys(TOPICS, 3))
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for one in ledger:
        operation = decode(one.value or b"")
        if isinstance(operation, Claim) and not marks:
            operation = structs.replace(operation, begins={})
        producer.produce("connect-offset-c", encode(operation), one.key, 0)
    for key, value in records:
        producer.produce("orders", value, key, 0, timestamp=HOUR_14)
    assert producer.flush(20) == 0
    return broker


@pytest.mark.parametrize("changed", [{15}, set(range(20))])
def test_a_source_topic_that_was_filled_again_with_old_times_loses_nothing(
    connector: Connector, changed: set[int]
) -> None:
    connector.handle(payload(*map(element, range(16))))
    assert connector.state.marks.keys() == {("orders", 0)}
    records = [(b"k%d" % offset, b"NEW" if offset in changed else b"v%d" % offset) for offset in range(20)]
    with created_again(connector, records) as connector.broker:
        for batch in (payload(*map(element, range(6))), payload(*map(element, range(12, 20)))):
            with pytest.raises(LedgerError, match=r"(?s)orders-0: expected the record at offset 15 .* found another"):
                connector.handle(batch)
    assert connector.offsets == list(range(16))


def test_a_ledger_of_an_earlier_release_proves_nothing_without_topic_ids(connector: Connector) -> None:
    connector.handle(payload(*map(element, range(10))))
    with created_again(connector, [(b"k%d" % one, b"v%d" % one) for one in range(20)], marks=False) as connector.broker:
        with pytest.raises(LedgerError, match=r"(?s)nothing proves .*orders-0: .*marked none.*same_topic"):
            connector.handle(payload(*map(element, range(6))))
        (reply,) = connector.handle(payload(*map(element, range(10, 14))))
        assert reply["records"] == 4
        # That batch was new, and the log has its records: so what it has written is known again, and nothing before.
        (reply,) = connector.handle(payload(*map(element, range(10, 16))))
        assert (reply["records"], reply["dropped"]) == (2, 4)
        with pytest.raises(LedgerError, match=r"(?s)nothing proves .*orders-0: .*vouches for offsets from 10 on"):
            connector.handle(payload(*map(element, range(8, 12))))
        assert connector.state.marks["orders", 0].since == 10


def test_a_topic_that_was_filled_beyond_what_an_unmarked_ledger_has_loses_nothing(connector: Connector) -> None:
    def filled(word: str, first: int, end: int) -> bytes:
        return payload(*(element(offset, value=word) for offset in range(first, end)))

    connector.handle(payload(*map(element, range(10))))
    with created_again(connector, [(b"k%d" % one, b"NEW") for one in range(20)], marks=False) as connector.broker:
        written = connector.handle(filled("NEW", 10, 14), filled("NEW", 12, 16))
        assert [reply["records"] for reply in written] == [4, 2]
        with pytest.raises(LedgerError, match=r"(?s)nothing proves .*vouches for offsets from 10 on"):
            connector.handle(filled("NEW", 0, 6))
        newest = created_again(connector, [(b"k%d" % one, b"NEWEST") for one in range(20)])
    with newest as connector.broker, pytest.raises(LedgerError, match=r"(?s)record at offset 13 .* found another"):
        connector.handle(filled("NEWEST", 12, 16))


def test_the_mark_moves_with_the_batches(connector: Connector) -> None:
    used = connector.instance()
    offsets = []
    for first in range(0, 20, 4):
        connector.handle(payload(*map(element, range(first, first + 4))), instance=used)
        offsets.append(connector.state.marks["orders", 0].offset)
    used.close()
    # The state that the second batch goes by doesn't have the first one's mark yet; the third one moves it. Then
    # brokers aren't asked for half a minute.
    assert offsets == [3, 3, 11, 11, 11]


def test_the_mark_moves_if_each_batch_has_an_instance_of_its_own(connector: Connector) -> None:
    offsets = []
    for batch in (range(4), range(4, 8), range(8, 12)):
        connector.handle(payload(*map(element, batch)))
        offsets.append(connector.state.marks["orders", 0].offset)
    assert offsets == [3, 7, 11]


def test_a_settled_record_whose_topic_is_gone_is_kept_in_the_error_topic(connector: Connector) -> None:
    batch = payload(element(1), element(2, topic="nowhere"))
    first, again = connector.handle(batch, batch)
    assert (first["records"], again["records"]) == (2, 0)
    assert (again["dropped"], again["diverted"]) == (1, 1)
    (letter,) = [found for one in connector.read("connect-error-c") if (found := dead_letter.parse(one))]
    assert (letter.topic, letter.offset, letter.reason, letter.generation) == ("nowhere", 2, "not-in-log", 1)
    assert (letter.record.key, letter.record.value, letter.form) == (b"k2", b"v2", "as-delivered")
    assert connector.offsets == [1, 2]


def test_a_settled_record_that_the_log_does_not_have_is_kept_in_the_error_topic(connector: Connector) -> None:
    connector.handle(payload(element(1), element(2)))
    (again,) = connector.handle(payload(element(2, key="other", value="of another topic")))
    assert (again["records"], again.get("dropped", 0), again["diverted"]) == (0, 0, 1)
    (letter,) = [found for one in connector.read("connect-error-c") if (found := dead_letter.parse(one))]
    assert (letter.record.key, letter.record.value, letter.reason) == (b"other", b"of another topic", "not-in-log")


def test_a_table_made_anew_is_not_taken_for_the_one_that_was_written(connector: Connector) -> None:
    batch = payload(element(1))
    connector.handle(batch)
    used = connector.instance()
    connector.handle(payload(element(2)), instance=used)
    connector.odps.execute_sql(f"DROP TABLE {connector.table}")
    # Times of creation are told in whole seconds.
    identity = connector.state.identity
    assert identity
    service = Service(TrustedAddress(connector.emulator.endpoint), PROJECT, Credentials("ak", "sk"))
    while True:
        connector.odps.execute_sql(CREATE.format(name=connector.table))
        if table_definition.look(service, connector.table, soon()).created != identity.table_created:
            break
        connector.odps.execute_sql(f"DROP TABLE {connector.table}")
    with pytest.raises(LedgerError, match="reset"):
        connector.handle(batch, instance=used)
    used.close()
    with pytest.raises(LedgerError, match="created at"):
        connector.handle(payload(element(3)))
    assert list(connector.odps.get_table(connector.table).partitions) == []


def test_an_offset_topic_without_a_genesis_is_refused(connector: Connector) -> None:
    connector.broker.create_topic("connect-offset-new", 3)
    connector.settings["offset_topic"] = "connect-offset-new"
    with pytest.raises(LedgerError, match="Genesis"):
        connector.handle(payload(element(1)))


def test_the_status_topic_tells_how_it_goes(connector: Connector) -> None:
    connector.handle(payload(element(1), element(2)))
    connector.settings["failure_policy"] = "stop"
    with pytest.raises(RejectedRecordsError):
        connector.handle(payload(element(3, **BAD)))
    found = status_topic.latest(connector.read("connect-status-c"), "c")
    assert (found[b"c/orders-0"].state, found[b"c/orders-0"].offset) == ("running", 2)
    assert found[b"c"].state == "failing"
    assert "orders-0-3" in found[b"c"].error


def test_an_instance_that_stops_tells_what_it_held_back(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    used = connector.instance()
    connector.handle(payload(element(1)), payload(element(2)), instance=used)
    monkeypatch.setattr(status_topic, "EVERY_SECONDS", 0.0)  # as if it had been idle for a while
    used.stop(soon())
    assert status_topic.latest(connector.read("connect-status-c"), "c")[b"c/orders-0"].offset == 2


def test_rows_are_counted_by_sql(connector: Connector) -> None:
    connector.handle(payload(*map(element, (1, 2, 5)), element(2, partition=1)))
    instance = connector.instance()
    service = Service(TrustedAddress(connector.emulator.endpoint), PROJECT, Credentials("ak", "sk"))
    counts = SqlRowCounts(service, instance.settings)
    assert counts.count(PT, {("orders", 0): ((1, 2), (5, 9)), ("orders", 1): ((0, 1),)}, soon()) == 3
    assert counts.count(PT, {("orders", 0): tuple((n, n) for n in range(1, 900, 2))}, soon()) == 2
    assert counts.count("it's 11-17-2020", {("orders", 0): ((0, 9),)}, soon()) == 0
    assert counts.count(PT, {("other's \\", 0): ((0, 9),)}, soon()) == 0


def test_a_claim_that_was_left_is_rolled_forward_over_http(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("maxcompute_sink.exactly_once.commit", killed)
        with pytest.raises(KilledError):
            connector.handle(payload(element(1), element(2)))
    assert connector.offsets == []
    (pending,) = connector.state.pending.values()
    assert isinstance(pending.operation, Claim)
    assert pending.operation.timestamps == {("orders", 0): HOUR_14}
    connector.handle(payload(element(2), element(3)))
    assert connector.offsets == [1, 2, 3]
    assert connector.state.pending == {}


def csv_connector(connector: Connector, columns: str) -> Connector:
    """The connector with CSV values, into a table with these columns after offset."""
    connector.table = f"t{next(_numbers)}"
    connector.settings |= {"mode": "VALUE", "format": "CSV", "offset_topic": f"offset-{connector.table}"}
    connector.broker.create_topic(connector.settings["offset_topic"], 3)
    connector.odps.execute_sql(
        f"CREATE TABLE {connector.table} (topic STRING, partition BIGINT, offset BIGINT, {columns}) "
        "PARTITIONED BY (pt STRING)"
    )
    connector.begin()
    return connector


def letters_of(connector: Connector) -> list[tuple[int | None, str]]:
    found = [dead_letter.parse(message) for message in connector.read("connect-error-c")]
    return [(letter.offset, letter.reason) for letter in found if letter]


def test_a_table_that_is_altered_needs_no_new_instance(connector: Connector) -> None:
    csv_connector(connector, "id BIGINT, name VARCHAR(4)")
    used = connector.instance()
    connector.handle(payload(element(1, value="1,abcd"), element(2, value="2,abcdefg")), instance=used)
    assert (connector.offsets, letters_of(connector)) == ([1], [(2, "csv-field-type")])
    connector.odps.execute_sql(f"ALTER TABLE {connector.table} CHANGE COLUMN name name VARCHAR(10)")
    # As redrive sends it: the same record at another offset.
    connector.handle(payload(element(3, value="2,abcdefg")), instance=used)
    connector.odps.execute_sql(f"ALTER TABLE {connector.table} ADD COLUMNS (extra STRING)")
    connector.handle(payload(element(4, value="3,abcd,x")), instance=used)
    connector.handle(payload(element(5, value="4,abcd")), instance=used)
    used.close()
    assert connector.offsets == [1, 3, 4]
    assert letters_of(connector)[1:] == [(5, "not-csv")]


def test_a_table_that_is_altered_between_staging_and_commit_delays_its_batch_by_one_delivery(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(*args: Any) -> None:
        connector.odps.execute_sql(f"ALTER TABLE {connector.table} ADD COLUMNS (extra STRING)")
        commit(*args)

    used = connector.instance()
    with monkeypatch.context() as patched:
        patched.setattr("maxcompute_sink.exactly_once.commit", altered)
        with pytest.raises(RefusedError, match="TableModified"):
            connector.handle(payload(element(1), element(2)), instance=used)
    assert connector.offsets == []
    connector.handle(payload(element(1), element(2)), payload(element(1), element(2)), instance=used)
    used.close()
    assert connector.offsets == [1, 2]
    assert (connector.state.settled, connector.state.pending) == ({("orders", 0): ((1, 2),)}, {})


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
@pytest.mark.parametrize("format_", ["BINARY", "TEXT"])
def test_bytes_that_the_event_has_replaced_are_written_or_set_aside_as_the_log_has_them(
    connector: Connector, delivery: str, format_: str
) -> None:
    connector.settings |= {"delivery": delivery, "format": format_, "value_type": "Text"}
    if format_ == "BINARY":
        connector.odps.execute_sql(f"DROP TABLE {connector.table}")
        connector.table += "_bytes"
        columns = COLUMNS.replace("key STRING,value STRING", "key BINARY,value BINARY")
        connector.odps.execute_sql(CREATE.replace(COLUMNS, columns).format(name=connector.table))
        connector.settings["offset_topic"] = f"connect-offset-{connector.table}"
        connector.broker.create_topic(connector.settings["offset_topic"], 3)
        connector.begin()
    keys = [b"\xff", b"\xe9", "\ufffd".encode(), b"k3"]
    producer = Producer({"bootstrap.servers": connector.broker.bootstrap_servers})
    for key in keys:
        producer.produce("orders", b"caf\xe9" if key == b"k3" else b"v", key, 1, timestamp=HOUR_14)
    assert producer.flush(20) == 0
    delivered = zip([key.decode("utf-8", "replace") for key in keys], ["v", "v", "v", "caf\ufffd"], strict=True)
    events = [element(offset, partition=1, key=key, value=value) for offset, (key, value) in enumerate(delivered)]
    (reply,) = connector.handle(payload(*events))
    with connector.odps.get_table(connector.table).open_reader(partition={"pt": PT}, arrow=False) as reader:
        rows = {found["offset"]: (found["key"], found["value"]) for found in reader}
    if format_ == "BINARY":
        assert rows == dict(enumerate(zip(keys, [b"v", b"v", b"v", b"caf\xe9"], strict=True)))
        return
    assert rows == {2: ("\ufffd", "v")}
    assert reply["diverted"] == 3
    letters = [letter for found in connector.read("connect-error-c") if (letter := dead_letter.parse(found))]
    told = {letter.offset: (letter.record.key, letter.record.value, letter.reason, letter.form) for letter in letters}
    assert told == {
        0: (b"\xff", b"v", "not-utf-8", "original"),
        1: (b"\xe9", b"v", "not-utf-8", "original"),
        3: (b"k3", b"caf\xe9", "not-utf-8", "original"),
    }


def test_clients_are_not_recreated_in_the_middle_of_a_delivery(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = connector.instance()
    kept = used._clients.connect

    def refused_from_now_on(*given: Any) -> Any:
        connections = kept(*given)
        assert connections is not None
        connections.login.refused = "a test says so"
        return connections

    monkeypatch.setattr(used._clients, "connect", refused_from_now_on)
    monkeypatch.setattr(Connections, "differs_from", lambda *_: True)
    (reply,) = connector.handle(payload(element(1, value="v\ufffd")), instance=used)
    assert (reply["records"], connector.offsets) == (1, [1])


def test_replaced_text_of_a_record_that_the_log_lost_is_written_as_delivered(connector: Connector) -> None:
    (reply,) = connector.handle(payload(element(1, key="\ufffd"), element(500, key="\ufffd")))
    assert (reply["records"], connector.offsets) == (2, [1, 500])
