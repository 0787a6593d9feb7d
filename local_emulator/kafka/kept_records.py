"""Keeps the embedded broker's topics, records and committed offsets in a file, from one run to the next.

The mock cluster has them in memory alone. So the file is written when the local cloud ends. After a `kill -9` the
records of that run are lost, which a mark beside the file shows at the next start.

The mock cluster gives each topic a new id, while a broker's topic keeps its id. So ids of topics in records' values, as
the connector's ledger has them, are replaced by the new ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka import TopicPartition as Place

from local_emulator.kafka import group_offsets
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.log_ends import log_ends
from local_emulator.kafka.producer import NOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from local_emulator.kafka.embedded import EmbeddedBroker
    from local_emulator.kafka.topics import TopicPartition

FILE, MARK = "kafka.records", "kafka.running"
SECONDS = 60.0
"""How long the broker may take for the next records."""
FILLER = b"removed by retention"


class KeptRecord(msgspec.Struct, array_like=True):
    """A record: its time in epoch milliseconds, and its bytes."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class KeptLog(msgspec.Struct, array_like=True):
    """The records of a topic-partition from offset `start` on, without gaps."""

    start: int
    records: list[KeptRecord]


class Kept(msgspec.Struct):
    """The logs of each topic, in the order of the topic-partitions; the offsets of groups, by topic and partition."""

    topics: dict[str, list[KeptLog]]
    groups: dict[str, dict[str, dict[int, int]]]
    ids: dict[str, str]
    """The topics' ids."""


def save(broker: EmbeddedBroker, folder: Path, groups: Iterable[str]) -> None:
    """Write the broker's topics and records, and the offsets of these groups; then remove the mark of a running cloud.

    Raises BrokerError or OSError.
    """
    servers = broker.bootstrap_servers
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "kept-records", **_READING})
    try:
        partitions = {
            name: len(topic.partitions) for name, topic in consumer.list_topics(timeout=SECONDS).topics.items()
        }
        offsets = {group: _committed(servers, group, partitions) for group in groups}
        kept = Kept(_read(consumer, partitions), offsets, _ids(servers, partitions))
    except KafkaException as error:
        raise BrokerError(f"the records of the embedded broker couldn't be kept: {error.args[0].str()}") from error
    finally:
        consumer.close()
    scratch = folder / f".{FILE}"
    scratch.touch(mode=0o600)
    scratch.write_bytes(msgspec.msgpack.encode(kept))
    scratch.replace(folder / FILE)
    (folder / MARK).unlink(missing_ok=True)


def begin(folder: Path) -> None:
    """Mark that a cloud is running whose records aren't in the file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def is_behind(folder: Path) -> bool:
    """Return whether the last cloud of this folder ended without writing its records."""
    return (folder / MARK).exists()


def restore(broker: EmbeddedBroker, folder: Path) -> None:
    """Create the topics, records and offsets that the file has; raises BrokerError."""
    file = folder / FILE
    if not file.exists():
        return
    try:
        kept = msgspec.msgpack.decode(file.read_bytes(), type=Kept)
    except msgspec.MsgspecError as error:
        raise BrokerError(f"{file} isn't a file of this version ({error}); remove {folder}") from None
    for topic, logs in kept.topics.items():
        broker.create_topic(topic, len(logs))
    now = _ids(broker.bootstrap_servers, kept.topics)
    ids = {known.encode(): now[topic].encode() for topic, known in kept.ids.items()}
    for topic, logs in kept.topics.items():
        for partition, log in enumerate(logs):
            _write(broker, (topic, partition), log, ids)
    for group, topics in kept.groups.items():
        offsets = {
            (topic, number): offset for topic, by_number in topics.items() for number, offset in by_number.items()
        }
        group_offsets.set_offsets(broker.bootstrap_servers, group, offsets)


_READING: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "isolation.level": "read_uncommitted",
    "log_level": 0,
}


def _read(consumer: Consumer, partitions: Mapping[str, int]) -> dict[str, list[KeptLog]]:
    """Return the logs of all topics."""
    places = [Place(topic, number) for topic, count in partitions.items() for number in range(count)]
    ends = log_ends(consumer, places, SECONDS) if places else {}
    logs = {
        topic: [KeptLog(ends[topic, number][0], []) for number in range(count)] for topic, count in partitions.items()
    }
    unread = {place for place, (start, end) in ends.items() if start < end}
    consumer.assign([Place(*place, ends[place][0]) for place in unread])
    while unread:
        first = consumer.poll(SECONDS)
        if first is None:
            raise BrokerError(f"the embedded broker returned no records for {SECONDS:.0f} s")
        messages = [first, *consumer.consume(1_000, timeout=0)]
        for message in messages:
            place = str(message.topic()), int(message.partition() or 0)
            if (error := message.error()) is not None:
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    raise KafkaException(error)
                unread.discard(place)
                continue
            log, offset = logs[place[0]][place[1]], int(message.offset() or 0)
            if offset != log.start + len(log.records):  # retention has removed records meanwhile
                log.start, log.records = offset, []
            headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
            log.records.append(KeptRecord(message.timestamp()[1], message.key(), message.value(), headers))
    return logs


def _committed(servers: str, group: str, partitions: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Return the offsets that a group has committed, by topic and topic-partition."""
    places = [Place(topic, number) for topic, count in partitions.items() for number in range(count)]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
    try:
        offsets: dict[str, dict[int, int]] = {}
        for place in consumer.committed(places, timeout=SECONDS) if places else ():
            if place.offset >= 0:
                offsets.setdefault(place.topic, {})[place.partition] = place.offset
        return offsets
    finally:
        consumer.close()


def _ids(servers: str, topics: Iterable[str]) -> dict[str, str]:
    """Return the topics' ids."""
    names = list(topics)
    admin = kafka_topics.client(servers)  # kept until all futures are done: they end with their client
    answers = admin.describe_topics(TopicCollection(names), request_timeout=SECONDS) if names else {}
    return {name: str(answer.result(SECONDS).topic_id) for name, answer in answers.items()}


def _write(broker: EmbeddedBroker, place: TopicPartition, log: KeptLog, ids: Mapping[bytes, bytes]) -> None:
    """Write a log at its own offsets, with the topics' new `ids`; fillers before its start are deleted again."""
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "message.max.bytes": 10_000_000, "log_level": 0}
        | {"max.in.flight.requests.per.connection": 1, "linger.ms": 5}
    )
    offsets: list[int | None] = []
    for record in _with_fillers(log):
        while True:
            try:
                producer.produce(
                    place[0],
                    value=_with_new_ids(record.value, ids),
                    key=record.key,
                    partition=place[1],
                    timestamp=max(NOW + 1, record.timestamp),
                    headers=list(record.headers) or None,
                    on_delivery=lambda _, message: offsets.append(message.offset()),
                )
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(SECONDS)
    if offsets != list(range(log.start + len(log.records))):
        raise BrokerError(f"the kept records of {place[0]}-{place[1]} couldn't be written into the embedded broker")
    if log.start:
        broker.delete_records(*place, log.start)


def _with_fillers(log: KeptLog) -> Iterator[KeptRecord]:
    filler = KeptRecord(1, None, FILLER, [])
    for _ in range(log.start):
        yield filler
    yield from log.records


def _with_new_ids(value: bytes | None, ids: Mapping[bytes, bytes]) -> bytes | None:
    for known, new in ids.items():
        if value is not None and known in value:
            value = value.replace(known, new)
    return value
