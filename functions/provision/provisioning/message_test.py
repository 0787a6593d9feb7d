"""The test message (D27): it's sent to the source topic; the reply has its row, or the place where it has stopped."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError
from tenacity import RetryError, Retrying, retry_if_result, stop_before_delay, wait_exponential, wait_random

from kafka_maxcompute.brokers.appending import Append
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.status_topic import Status
from kafka_maxcompute.dead_letters.dead_letter import parse
from kafka_maxcompute.errors import BatchError, RefusedError
from kafka_maxcompute.maxcompute.partition_value import partition_value
from kafka_maxcompute.maxcompute.row_counts import SqlRowCounts
from kafka_maxcompute.settings import time_zone
from provisioning import brokers, lag, preflight_facts
from provisioning.connector_resources import stream
from provisioning.ledger_status import statuses
from provisioning.new_records import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fc_powertools import Deadline
    from provisioning.cloud import Cloud

REASON_SECONDS = 30.0
"""The part of the time that is reserved to find out why a row doesn't come."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
DELIVERING = frozenset({"running", "enabled"})
"""Statuses of a stream that delivers; "enabled": a trigger is on, but the service doesn't name its stream."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The place of a sent record, and its time in the log (epoch milliseconds)."""

    topic: str
    partition: int
    offset: int
    timestamp: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"


def run(cloud: Cloud) -> dict[str, Any]:
    """Send the message and wait for its row; the reply has the row's partition value, or why there is no row yet."""
    request, settings = cloud.request, cloud.request.settings
    obstacle = standstill(cloud)
    if obstacle:
        return {"state": "blocked", "faults": [f"{obstacle}; nothing was sent"]}
    with Arrivals(cloud, {settings.error_topic, settings.dead_letter_topic}) as letters:
        began = time.monotonic()
        record = Original(key=request.key.encode(), value=request.value.encode())
        (sent,) = send(cloud, [record], request.topic_partition)
        value = partition_value(
            sent.timestamp, settings.partition, settings.partition_names, time_zone.parse(settings.time_zone)
        )
        place = {"topic_partition": sent.partition, "offset": sent.offset, "partition": value}
        patience = cloud.deadline.earlier(REASON_SECONDS).within(request.wait_seconds)
        rows = SqlRowCounts(cloud.maxcompute, settings)
        offsets = {(sent.topic, sent.partition): ((sent.offset, sent.offset),)}
        missing = f"no row of {sent} in {value!r} yet"
        try:
            if becomes_true(lambda: rows.count(value, offsets, cloud.deadline) > 0, patience):
                return {"state": "arrived", "faults": [], **place, "seconds": round(time.monotonic() - began, 1)}
        except BatchError as error:
            missing = f"{sent} was sent, but the table can't be read: {error}"
        return {"state": "missing", "faults": [missing, *reasons(cloud, sent, letters.wait(0))], **place}


def send(cloud: Cloud, records: Sequence[Original], topic_partition: int | None = None) -> list[Sent]:
    """Append records to one topic-partition of the source topic; if none is named, the first record's key decides.

    Raises `RefusedError` or `UnavailableError`.
    """
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    appender, topic = cloud.clients.appender, settings.source_topic
    count = appender.count_partitions([topic], deadline)[topic]
    number = zlib.crc32(records[0].key or b"") % count if topic_partition is None else topic_partition
    if number >= count:
        mismatch = f"topic_partition: expected 0 to {count - 1}, the topic-partitions of {topic}, found {number}"
        raise RefusedError(f"{mismatch}; nothing was sent", code="UnknownTopicPartition")
    outcomes = appender.append([Append(topic, number, record) for record in records], deadline)
    offsets = []
    for outcome in outcomes:
        if isinstance(outcome, KafkaError):
            raise fault(outcome, f"writing into {topic}-{number}")
        offsets.append(outcome)
    # The time in the log decides; it isn't the producer's if the topic keeps the time of arrival.
    wanted = [(offset, offset) for offset in offsets]
    log = cloud.clients.logs().read({(topic, number): wanted}, deadline)
    now = time.time_ns() // 1_000_000
    times = {offset: record.timestamp for (_, offset), record in log.items()}
    return [Sent(topic, number, offset, times.get(offset) or now) for offset in offsets]


def standstill(cloud: Cloud) -> str:
    """Return why the stream wouldn't deliver a record, "" if it delivers."""
    resource = stream(cloud.request)
    state = resource.look(cloud)
    if state is None:
        return f"{resource.title} doesn't exist; apply creates it"
    status = resource.status(state)
    return "" if status in DELIVERING else f"{resource.title} is {status}; resume starts it"


def becomes_true(look: Callable[[], bool], deadline: Deadline) -> bool:
    """Call `look` until it returns True or the deadline is reached; return its last result."""
    waiting = Retrying(
        retry=retry_if_result(lambda result: not result),
        wait=wait_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) + wait_random(0, FIRST_PAUSE_SECONDS),
        stop=stop_before_delay(deadline.remaining()),
    )
    try:
        return waiting(look)
    except RetryError:
        return False


def reasons(cloud: Cloud, sent: Sent, messages: Iterable[Original]) -> list[str]:
    """Return why a record isn't in the table, as far as the services know; a line for each reason.

    `messages` are the records that have come into the error topics meanwhile.
    """
    questions = preflight_facts.Questions()
    lines = [
        _dead_letter(sent, messages),
        questions.ask(lambda: standstill(cloud), ""),
        questions.ask(lambda: _progress(cloud, sent), ""),
        questions.ask(lambda: _last_error(cloud, sent), ""),
    ]
    return [*filter(None, lines), *questions.faults]


def _dead_letter(sent: Sent, messages: Iterable[Original]) -> str:
    for letter in map(parse, messages):
        if letter and (letter.topic, letter.partition, letter.offset) == (sent.topic, sent.partition, sent.offset):
            return f"it can't be written, and is a dead letter: {letter.reason}: {letter.message} - at {letter.path}"
    return ""


def _progress(cloud: Cloud, sent: Sent) -> str:
    """Return the group's position relative to the record."""
    group = cloud.request.settings.group
    for place in lag.of_group(preflight_facts.progress(cloud))["topic_partitions"]:
        if (place["topic"], place["partition"]) == (sent.topic, sent.partition) and place["committed"] is not None:
            committed = int(place["committed"])
            if committed > sent.offset:
                return f"{group} has gone past it, to {committed}: the function accepted it, and reported no error"
            before = sent.offset - committed
            return f"{group} is at {committed}, {before} records before it: the stream hasn't delivered it"
    return f"{group} has committed nothing in {sent.topic}-{sent.partition}"


def _last_error(cloud: Cloud, sent: Sent) -> str:
    """Return the function's last error in the status topic."""
    settings, written = cloud.request.settings, statuses(cloud)
    own = Status(connector=settings.name, state="running", topic=sent.topic, partition=sent.partition)
    failures = [status for key in (own.key, settings.name.encode()) if (status := written.get(key)) and status.error]
    return f"the function's last error there: {failures[0].error}" if failures else ""
