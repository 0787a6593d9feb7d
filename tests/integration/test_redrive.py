"""Dead letters go back to the source topic byte for byte, each once, whatever runs beside or was killed before."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fc_powertools import Credentials, Deadline
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from kafka_maxcompute.control.control_plane import ControlPlane
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter, fitted
from kafka_maxcompute.dead_letters.kafka_dead_letters import KafkaDeadLetters
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Claim as LedgerClaim
from kafka_maxcompute.ledger.operations import Genesis, Identity, Settle
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.settings.destinations import TrustedAddress
from provisioning.cloud import Cloud
from provisioning.redrive import action, delivered, sending
from provisioning.redrive.action import redrive
from provisioning.request import read
from tests.kafka_events import HOUR_14, element
from tests.kafka_fixtures import APACHE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kafka_maxcompute.brokers.appending import Outcome
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from local_emulator.kafka.apache import ApacheBroker
    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.embedded import EmbeddedBroker

SECONDS = 60
SOURCE, ERRORS, DEAD, QUEUE, LEDGER = "orders", "errors", "dead", "queue", "offsets"
PARTITIONS = 3
EVERYTHING = ((0, 2**62),)
RECORD = Original(
    key=b"k\xff", value=b"\xff\x00", headers=(("trace", b"\x00"), ("trace", None)), timestamp=1_700_000_000_007
)
LETTER = DeadLetter(
    connector="orders-sink",
    request_id="1-5f",
    reason="not-utf-8",
    message="expected UTF-8, found bytes that aren't",
    path="$.data.value",
    record=RECORD,
    topic=SOURCE,
    partition=1,
    offset=41,
)
AS_DELIVERED = replace(LETTER, form="as-delivered", offset=50, record=replace(RECORD, headers=()))
KEYS = VALUES = st.none() | st.binary(max_size=30)
HEADERS = st.lists(st.tuples(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8), VALUES))
RECORDS = st.builds(
    Original, key=KEYS, value=VALUES, headers=HEADERS.map(tuple), timestamp=st.integers(1, 4_102_444_800_000)
)


@dataclass(frozen=True)
class Topics:
    """A connector's topics on a broker."""

    broker: Broker
    delivery: str = "at-least-once"
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, topic: str) -> str:
        return self.names.get(topic, topic)

    @property
    def configuration(self) -> dict[str, object]:
        return {"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 0}

    def cloud(self, deadline: Deadline | None = None, **fields: Any) -> Cloud:
        event = {
            "action": "redrive",
            "settings": {
                "name": "orders-sink",
                "source_topic": self.name(SOURCE),
                "error_topic": self.name(ERRORS),
                "dead_letter_topic": self.name(DEAD),
                "offset_topic": LEDGER,
                "endpoint": "http://127.0.0.1:1/api",
                "project": "p",
                "table": "t",
                "delivery": self.delivery,
                "bootstrap_servers": self.broker.bootstrap_servers,
            },
            **fields,
        }
        environment = {"ALLOWED_ADDRESSES": f"127.0.0.1:1,{self.broker.bootstrap_servers}"}
        until, keys = deadline or Deadline.after(SECONDS), Credentials("ak", "sk", "")
        return Cloud(
            request=read(json.dumps(event).encode(), environment),
            account="1",
            control=ControlPlane("cn-hangzhou", keys, until, {}),
            maxcompute=Service(TrustedAddress("http://127.0.0.1:1/api"), "p", keys),
            deadline=until,
            environment=environment,
        )

    def redrive(self, deadline: Deadline | None = None, **fields: Any) -> dict[str, Any]:
        """The reply to a redrive that isn't dry."""
        with closing(self.cloud(deadline, dry_run=False, **fields)) as cloud:
            return redrive(cloud)

    def plan(self, **fields: Any) -> dict[str, Any]:
        with closing(self.cloud(**fields)) as cloud:
            return redrive(cloud)

    def write(self, *letters: DeadLetter) -> None:
        writer = KafkaDeadLetters(
            Appender(self.configuration), error_topic=self.name(ERRORS), dead_letter_topic=self.name(DEAD)
        )
        writer.write(letters, Deadline.after(SECONDS))

    def fill(self, records: Sequence[Original], topic: str = SOURCE, partition: int = 0) -> None:
        appends = [Append(self.name(topic), partition, record) for record in records]
        Appender(self.configuration).append(appends, Deadline.after(SECONDS))

    def log(self, topic: str = SOURCE) -> list[tuple[int, Original]]:
        """What a topic holds, each record with its topic-partition."""
        wanted = {(self.name(topic), partition): EVERYTHING for partition in range(PARTITIONS)}
        stream = KafkaOriginals(self.configuration, "connect-orders").stream(wanted, Deadline.after(SECONDS))
        return [(place[1], record) for place, _, record in stream]


@pytest.fixture
def topics(embedded_kafka: EmbeddedBroker) -> Topics:
    for name in (SOURCE, ERRORS, DEAD, QUEUE):
        embedded_kafka.create_topic(name, PARTITIONS)
    embedded_kafka.create_topic(LEDGER, 1)
    return Topics(embedded_kafka)


@pytest.fixture(params=["embedded_kafka", APACHE])
def either(request: pytest.FixtureRequest) -> Topics:
    """Topics on each broker."""
    broker: Broker = request.getfixturevalue(request.param)
    names = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in (SOURCE, ERRORS, DEAD)}
    for name in names.values():
        broker.create_topic(name, PARTITIONS)
    return Topics(broker, names=names)


def rows(reply: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What a reply says of letters: what is done, with which offsets, and the first words of why."""
    return [(row["do"], row["offsets"], row["why"]) for row in reply["letters"]]


def test_a_dry_run_says_what_would_happen_and_does_nothing(topics: Topics) -> None:
    topics.write(LETTER, replace(LETTER, offset=42), replace(LETTER, offset=44, reason="not-csv"), AS_DELIVERED)

    reply = topics.plan()

    assert (reply["state"], reply["dry_run"], reply["faults"]) == ("planned", True, [])
    assert [
        (row["do"], row["reason"], row["topic_partition"], row["form"], row["letters"], row["offsets"])
        for row in reply["letters"]
    ] == [
        ("redrive", "not-csv", "orders-1", "original", 1, "44"),
        ("redrive", "not-utf-8", "orders-1", "original", 2, "41-42"),
        ("skip", "not-utf-8", "orders-1", "as-delivered", 1, "50"),
    ]
    assert topics.log() == []
    assert topics.plan() == reply


def test_a_letters_record_is_sent_again_byte_for_byte_to_where_it_was_and_only_once(topics: Topics) -> None:
    topics.write(LETTER)

    reply = topics.redrive()

    assert (reply["state"], reply["redriven"]) == ("redriven", 1)
    assert rows(reply) == [("redriven", "41", "its record is in the letter")]
    assert topics.log() == [(1, RECORD)]
    again = topics.redrive()
    assert (again["state"], rows(again)) == ("unchanged", [("skip", "41", "it was redriven before")])
    assert topics.log() == [(1, RECORD)]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=12), data=st.data())
def test_all_records_come_back_in_the_order_of_their_offsets(
    topics: Topics, records: list[Original], data: st.DataObject
) -> None:
    before = len(topics.log())
    first = 1_000 * before
    letters = [replace(LETTER, offset=first + number, record=record) for number, record in enumerate(records)]
    topics.write(*data.draw(st.permutations([*letters, letters[0]])))

    topics.redrive()

    assert [record for _, record in topics.log()][before:] == records


def test_a_record_that_is_rejected_again_is_another_letter(topics: Topics) -> None:
    topics.write(LETTER)
    topics.redrive()
    topics.write(replace(LETTER, offset=0))

    assert topics.redrive()["redriven"] == 1
    assert topics.log() == [(1, RECORD), (1, RECORD)]


def test_filters_choose_by_reason_topic_partition_and_time(topics: Topics) -> None:
    topics.write(LETTER, replace(LETTER, partition=2), replace(LETTER, offset=43, reason="not-csv"))
    now = int(time.time() * 1_000)

    def chosen(**letters: Any) -> list[str]:
        return [f"{row['topic_partition']}/{row['offsets']}" for row in topics.plan(letters=letters)["letters"]]

    assert chosen(reasons=["not-csv"]) == ["orders-1/43"]
    assert chosen(topic_partitions=[2, 7]) == ["orders-2/41"]
    assert chosen(reasons=["not-utf-8"], topic_partitions=[1]) == ["orders-1/41"]
    assert len(chosen(since="2020-01-01", until="2100-01-01T00:00:00Z")) == 3
    assert chosen(until="2020-01-01") == chosen(since=now + 60_000) == []


def test_letters_without_all_their_bytes_are_sent_only_when_they_are_allowed(topics: Topics) -> None:
    cut = fitted(replace(LETTER, offset=51, record=replace(RECORD, value=b"v" * 9_000)), 2_000)
    empty = replace(AS_DELIVERED, offset=52, cut=("value", "headers", "key"), record=Original(key=None, value=None))
    topics.write(AS_DELIVERED, cut, empty)

    assert {row[0] for row in rows(topics.redrive())} == {"skip"}
    assert topics.log() == []
    assert topics.redrive(letters={"allow": ["as-delivered"]})["redriven"] == 1
    assert topics.log() == [(1, AS_DELIVERED.record)]
    assert topics.redrive(letters={"allow": ["as-delivered", "truncated"]})["redriven"] == 1
    assert topics.log()[1:] == [(1, cut.record)]
    assert [
        row["offsets"] for row in topics.plan(letters={"allow": ["truncated"]})["letters"] if "gone" in row["why"]
    ] == ["52"]


def test_a_record_that_the_source_topic_still_holds_is_sent_as_it_was(topics: Topics) -> None:
    original = replace(RECORD, value=b"v" * 9_000)
    topics.fill([original, RECORD, RECORD])
    cut = fitted(replace(LETTER, partition=0, offset=0, record=original), 2_000)
    event = json.dumps(element(1, topic=SOURCE, timestamp=RECORD.timestamp, partition=0)).encode()
    undecoded = replace(LETTER, form="event", partition=0, offset=1, record=Original(key=None, value=event))
    of_a_topic_made_before = replace(AS_DELIVERED, partition=0, offset=2, record=replace(RECORD, timestamp=5))
    topics.write(cut, undecoded, of_a_topic_made_before)

    reply = topics.redrive()

    assert topics.log()[3:] == [(0, original), (0, RECORD)]
    assert sorted((row[0], row[1]) for row in rows(reply)) == [("redriven", "0"), ("redriven", "1"), ("skip", "2")]


def test_an_undecoded_event_stands_for_its_record_when_that_is_allowed(topics: Topics) -> None:
    event = json.dumps(element(7, topic=SOURCE, partition=0, value="v", key=None)).encode()
    topics.write(replace(LETTER, form="event", partition=0, offset=7, record=Original(key=None, value=event)))

    assert topics.redrive()["state"] == "unchanged"
    assert topics.redrive(letters={"allow": ["as-delivered"]})["redriven"] == 1
    assert topics.log() == [(0, Original(key=None, value=b"v", timestamp=HOUR_14))]


def test_what_does_not_say_which_record_it_was_or_is_of_elsewhere_stays(topics: Topics) -> None:
    nothing = replace(
        LETTER, form="event", topic=None, partition=None, offset=None, record=Original(key=None, value=b'{"id": 1')
    )
    topics.write(nothing, replace(LETTER, topic="others"), replace(LETTER, partition=7))
    topics.fill([Original(key=None, value=b"somebody's")], ERRORS)

    reply = topics.redrive()

    assert sorted(row[2] for row in rows(reply)) == [
        "it doesn't say which record it was",
        "it's of topic others, not orders",
        "orders has no topic-partition 7",
    ]
    assert (reply["state"], reply["unreadable"]) == ("unchanged", 1)


def test_redrives_at_once_send_each_letter_once(either: Topics) -> None:
    source = either.name(SOURCE)
    either.write(*(replace(LETTER, topic=source, partition=number % PARTITIONS, offset=number) for number in range(60)))
    replies: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: replies.append(either.redrive())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(replies) == 3
    assert len(either.log()) == 60
    assert sum(reply.get("redriven", 0) for reply in replies) == 60


class Killed(BaseException):
    """The process ends here."""


def redrive_and_die(topics: Topics, monkeypatch: pytest.MonkeyPatch, *, sent: bool) -> None:
    """A redrive in a process that ends where it sends the records, after it did or before."""
    whole = Appender.append

    def append(self: Appender, appends: Sequence[Append], deadline: Deadline, *, alone: bool = False) -> list[Outcome]:
        if appends[0].topic != topics.name(SOURCE):
            return whole(self, appends, deadline, alone=alone)
        if sent:
            whole(self, appends, deadline, alone=alone)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", append)
        with pytest.raises(Killed):
            topics.redrive()


@pytest.mark.parametrize("sent", [True, False])
def test_a_redrive_that_was_killed_is_finished_by_a_later_one_and_not_doubled(
    either: Topics, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    letter = replace(LETTER, topic=either.name(SOURCE))
    either.write(letter, replace(letter, offset=42))  # two letters of the same bytes
    either.fill([RECORD], partition=1)  # which were in the topic before, too
    redrive_and_die(either, monkeypatch, sent=sent)

    early = either.redrive()
    assert early["state"] == "unchanged"
    assert rows(early)[0][2].startswith("claimed by a redrive that could send until ")
    monkeypatch.setattr(sending, "ABANDONED_MILLISECONDS", -sending.CLAIM_MILLISECONDS - 1)
    reply = either.redrive()

    assert reply["state"] == ("unchanged" if sent else "redriven")
    assert either.log() == [(1, RECORD)] * 3
    assert rows(either.plan()) == [("skip", "41-42", "it was redriven before")]


def test_a_claim_whose_record_may_have_been_deleted_stays(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    topics.write(LETTER)
    redrive_and_die(topics, monkeypatch, sent=True)
    topics.fill([RECORD], partition=1)
    topics.broker.delete_records(SOURCE, 1, 1)  # type: ignore[attr-defined] # the embedded broker's own
    monkeypatch.setattr(sending, "ABANDONED_MILLISECONDS", -sending.CLAIM_MILLISECONDS - 1)

    assert topics.redrive()["state"] == "unchanged"


def test_a_claim_that_took_too_long_is_given_back_and_nothing_is_sent(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics.write(LETTER)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "CLAIM_MILLISECONDS", 1)
        reply = topics.redrive()

    assert (reply["state"], reply["redriven"], topics.log()) == ("incomplete", 0, [])
    assert reply["faults"] == ["claiming dead letters took the time for sending them, so none was sent; call again"]
    assert topics.redrive()["redriven"] == 1


def test_a_redrive_ends_in_time_and_says_what_is_left(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    topics.write(LETTER, replace(LETTER, offset=42))
    monkeypatch.setattr(action, "SEND_SECONDS", SECONDS)

    reply = topics.redrive(Deadline.after(SECONDS - 1))

    assert (reply["state"], reply["faults"]) == ("incomplete", ["the time is up, 2 dead letters remain; call again"])


def test_many_letters_are_sent_in_groups(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TOGETHER", 7)
    monkeypatch.setattr(sending, "TOGETHER_BYTES", 2_000)
    records = [replace(RECORD, value=b"%d" % number) for number in range(20)]
    topics.write(*(replace(LETTER, offset=number, record=record) for number, record in enumerate(records)))

    assert topics.redrive()["redriven"] == 20
    assert [record for _, record in topics.log()] == records


EVENT = element(7, topic=SOURCE, partition=2, value="v7")
OTHER = element(8, topic=SOURCE, partition=2, value="v8")
BATCH = json.dumps([EVENT, OTHER])
BODIES = {
    "array": BATCH,
    "object": json.dumps(EVENT),
    "string in an array": json.dumps([json.dumps(EVENT), json.dumps(OTHER)]),
    "record alone": json.dumps(EVENT["data"]),
    "wrapped array": json.dumps({"id": "1", "data": [EVENT, OTHER]}),
    "wrapped string": json.dumps({"id": "1", "data": BATCH}),
    "base64 of an array": base64.b64encode(BATCH.encode()).decode(),
    "base64 of a string": base64.b64encode(json.dumps(BATCH).encode()).decode(),
}


@pytest.mark.parametrize("shape", BODIES)
@pytest.mark.parametrize("topic", [True, False])
def test_eventbridges_own_queue_is_read_in_every_shape(topics: Topics, shape: str, topic: bool) -> None:
    letters: dict[str, Any] = {"messages": [BODIES[shape]]}
    if topic:
        topics.fill([Original(key=None, value=BODIES[shape].encode())], QUEUE)
        letters = {"queue_topic": QUEUE}
    wanted = ["v7"] if shape in {"object", "record alone"} else ["v7", "v8"]

    assert topics.redrive(letters=letters)["state"] == "unchanged"
    reply = topics.redrive(letters={**letters, "allow": ["as-delivered"]})

    assert (reply["redriven"], {row["reason"] for row in reply["letters"]}) == (
        len(wanted),
        {"eventbridge-dead-letter"},
    )
    expected = [Original(key=f"k{value[1]}".encode(), value=value.encode(), timestamp=HOUR_14) for value in wanted]
    assert topics.log() == [(2, record) for record in expected]
    assert topics.redrive(letters={**letters, "allow": ["as-delivered"]})["state"] == "unchanged"


def test_what_is_no_event_in_the_queue_is_told_and_stays(topics: Topics) -> None:
    reply = topics.redrive(
        letters={"messages": ["nonsense", "5", '{"data": {"topic": "orders"}}'], "allow": ["as-delivered"]}
    )

    assert rows(reply) == [("skip", "", "it doesn't say which record it was")]
    assert reply["letters"][0]["letters"] == 3


def test_what_the_ledger_has_written_is_not_taken_from_the_queue(topics: Topics) -> None:
    log = KafkaLog(topics.configuration, LEDGER)
    ledger, deadline = LogLedger(log), Deadline.after(SECONDS)
    ledger.append(Genesis(identity=Identity(connector="orders-sink", table="p.t", table_created=1)), deadline)
    offsets: dict[TopicPartition, Intervals] = {(SOURCE, 2): ((7, 7),)}
    claim = LedgerClaim(id="s", partition_value="pt", blocks=(0,), rows=1, offsets=offsets, generation=1)
    ledger.append(claim, deadline)
    ledger.append(Settle(id="s"), deadline)
    log.close()

    reply = replace(topics, delivery="exactly-once").redrive(letters={"messages": [BATCH], "allow": ["as-delivered"]})

    assert [(row[0], row[1]) for row in rows(reply)] == [("redriven", "8"), ("skip", "7")]
    assert [record.value for _, record in topics.log()] == [b"v8"]


@pytest.mark.parametrize(
    ("value_type", "value", "expected"),
    [
        ("Text", "1", b"1"),
        ("Binary", base64.b64encode(b"\xff").decode(), b"\xff"),
        ("Json", {"a": [1.0, None]}, b'{"a": [1.0, null]}'),
        ("Json", None, None),
    ],
)
@pytest.mark.quick
def test_an_events_value_is_what_the_stream_was_told_to_deliver(
    value_type: str, value: object, expected: bytes | None
) -> None:
    found = delivered.read(json.dumps(element(1, value=value, timestamp="5")).encode(), value_type)

    assert found is not None
    assert (found.record.value, found.record.timestamp) == (expected, 5)
    assert delivered.read(json.dumps(element(1, value=5)).encode(), "Text") is None


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_record_that_the_broker_refuses_is_told_and_can_be_sent_when_it_is_mended(apache_kafka: ApacheBroker) -> None:
    names = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in (SOURCE, ERRORS, DEAD)}
    admin = AdminClient({"bootstrap.servers": apache_kafka.bootstrap_servers})
    small = {"max.message.bytes": "2000"}
    made = [
        NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=small if kind == SOURCE else {})
        for kind, name in names.items()
    ]
    for future in admin.create_topics(made).values():
        future.result(SECONDS)
    topics = Topics(apache_kafka, names=names)
    letters = [replace(LETTER, topic=names[SOURCE], offset=number) for number in range(60)]
    letters[30] = replace(letters[30], record=replace(RECORD, value=b"v" * 3_000))
    topics.write(*letters)

    reply = topics.redrive()
    assert (reply["state"], reply["redriven"], len(reply["faults"])) == ("incomplete", 59, 1)
    assert "raise the topic's max.message.bytes" in reply["faults"][0]
    wider = ConfigEntry("max.message.bytes", "9000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, names[SOURCE], incremental_configs=[wider])
    admin.incremental_alter_configs([resource])[resource].result(SECONDS)

    assert topics.redrive()["redriven"] == 1
    assert topics.log() == [(1, RECORD)] * 59 + [(1, letters[30].record)]
