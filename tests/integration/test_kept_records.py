"""The embedded broker's records and offsets in a file: as they were, at the offsets where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_emulator.kafka import kept_records
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.group_offsets import set_offsets
from local_emulator.kafka.log_ends import log_ends
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record

if TYPE_CHECKING:
    from pathlib import Path

BYTES = st.none() | st.binary(max_size=10)
NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3)
HEADERS = st.lists(st.tuples(NAMES, BYTES), max_size=2).map(tuple)
RECORDS = st.builds(Record, st.integers(0, 1), st.integers(1, 4_102_444_800_000), BYTES, BYTES, HEADERS)


def content(broker: EmbeddedBroker) -> tuple[dict[tuple[str, int], tuple[int, int]], list[Any], dict[int, int]]:
    """The ends of both logs, their records with offsets, and the group's offsets."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "enable.auto.commit": False})
    places = [TopicPartition("orders", number) for number in range(2)]
    ends = log_ends(consumer, places, 10)
    offsets = {place.partition: place.offset for place in consumer.committed(places, timeout=10)}
    consumer.assign([TopicPartition(*place, start) for place, (start, _) in ends.items()])
    found: list[Any] = []
    while len(found) < sum(end - start for start, end in ends.values()):
        message = consumer.poll(10)
        assert message is not None
        assert message.error() is None
        where = message.partition(), message.offset()
        found.append((where, message.timestamp(), message.key(), message.value(), message.headers()))
    consumer.close()
    return ends, sorted(found, key=lambda record: record[0]), offsets


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=20), data=st.data())
def test_a_new_broker_has_what_the_old_one_had(tmp_path: Path, records: list[Record], data: st.DataObject) -> None:
    with EmbeddedBroker({"orders": 2}) as broker:
        sent = produce(broker.bootstrap_servers, "orders", records)
        for partition, offsets in sorted(sent.items()):
            start = data.draw(st.integers(0, offsets.last + 1))
            if start:
                broker.delete_records("orders", partition, start)
        set_offsets(broker.bootstrap_servers, "g", {("orders", 1): 3})
        before = content(broker)
        kept_records.save(broker, tmp_path, ["g", "other"])
    with EmbeddedBroker() as broker:
        kept_records.restore(broker, tmp_path)
        assert content(broker) == before


def test_the_ids_of_topics_in_records_are_those_of_the_new_topics(tmp_path: Path) -> None:
    def topic_id(broker: EmbeddedBroker) -> bytes:
        client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        answers = client.describe_topics(TopicCollection(["orders"]))
        return str(answers["orders"].result(10).topic_id).encode()

    with EmbeddedBroker({"orders": 2}) as broker:
        produce(broker.bootstrap_servers, "orders", [Record(0, 1, None, b'{"topic": "%s"}' % topic_id(broker))])
        kept_records.save(broker, tmp_path, [])
    with EmbeddedBroker() as broker:
        kept_records.restore(broker, tmp_path)
        _, ((_, _, _, value, _),), _ = content(broker)
        assert value == b'{"topic": "%s"}' % topic_id(broker)


def test_a_cloud_that_was_killed_leaves_its_mark(tmp_path: Path) -> None:
    kept_records.begin(tmp_path)
    assert kept_records.is_behind(tmp_path)
    with EmbeddedBroker({"orders": 1}) as broker:
        kept_records.save(broker, tmp_path, [])
    assert not kept_records.is_behind(tmp_path)
    assert (tmp_path / kept_records.FILE).stat().st_mode & 0o077 == 0


def test_a_file_that_is_none_of_these_is_refused(tmp_path: Path) -> None:
    (tmp_path / kept_records.FILE).write_bytes(b"\xff{")
    with EmbeddedBroker() as broker, pytest.raises(BrokerError, match="isn't a file of this version"):
        kept_records.restore(broker, tmp_path)
