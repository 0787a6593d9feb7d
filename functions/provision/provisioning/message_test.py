"""The test message (D27): sent to the source topic, waited for in the table, looked for where it may have stopped."""

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
"""Kept of the time, to find out why a row doesn't come."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
DELIVERING = frozenset({"running", "enabled"})
"""States of a stream that delivers; "enabled" is a trigger's whose stream the service doesn't tell of."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a record is, and its time as the log has it, in epoch milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"


def run(cloud: Cloud) -> dict[str, Any]:
    """Send the message and wait for its row; the reply says where and when it arrived, or where it stands and why."""
    request, settings = cloud.request, cloud.request.settings
    against = standstill(cloud)
    if against:
        return {"state": "blocked", "faults": [f"{against}; nothing was sent"]}
    with Arrivals(cloud, {settings.error_topic, settings.dead_letter_topic}) as letters:
        began = time.monotonic()
        record = Original(key=request.key.encode(), value=request.value.encode())
        (sent,) = send(cloud, [record], request.topic_partition)
        value = partition_value(
            sent.timestamp, settings.partition, settings.partition_names, time_zone.parse(settings.time_zone)
        )
        told = {"topic_partition": sent.partition, "offset": sent.offset, "partition": value}
        patience = cloud.deadline.earlier(REASON_SECONDS).within(request.wait_seconds)
        rows = SqlRowCounts(cloud.maxcompute, settings)
        offsets = {(sent.topic, sent.partition): ((sent.offset, sent.offset),)}
        missing = f"no row of {sent} in {value!r} yet"
        try:
            if appears(lambda: rows.count(value, offsets, cloud.deadline) > 0, patience):
                return {"state": "arrived", "faults": [], **told, "seconds": round(time.monotonic() - began, 1)}
        except BatchError as error:
            missing = f"{sent} was sent, but the table can't be asked for it: {error}"
        return {"state": "missing", "faults": [missing, *why(cloud, sent, letters.wait(0))], **told}


def send(cloud: Cloud, records: Sequence[Original], topic_partition: int | None = None) -> list[Sent]:
    """Append records to one topic-partition of the source topic, that of the first one's key if none is named.

    Raises `RefusedError` or `UnavailableError`.
    """
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    appender, topic = cloud.clients.appender, settings.source_topic
    count = appender.count_partitions([topic], deadline)[topic]
    number = zlib.crc32(records[0].key or b"") % count if topic_partition is None else topic_partition
    if number >= count:
        found = f"topic_partition: expected one from 0 to {count - 1}, which are those of {topic}, found {number}"
        raise RefusedError(f"{found}; nothing was sent", code="UnknownTopicPartition")
    outcomes = appender.append([Append(topic, number, record) for record in records], deadline)
    offsets = []
    for outcome in outcomes:
        if isinstance(outcome, KafkaError):
            raise fault(outcome, f"writing into {topic}-{number}")
        offsets.append(outcome)
    # The log's time counts, which isn't the producer's where the topic keeps the time of arrival.
    wanted = [(offset, offset) for offset in offsets]
    log = cloud.clients.logs().read({(topic, number): wanted}, deadline)
    now = time.time_ns() // 1_000_000
    kept = {offset: record.timestamp for (_, offset), record in log.items()}
    return [Sent(topic, number, offset, kept.get(offset) or now) for offset in offsets]


def standstill(cloud: Cloud) -> str:
    """Why nothing would come of a record, "" where the stream delivers."""
    feeding = stream(cloud.request)
    found = feeding.look(cloud)
    if found is None:
        return f"{feeding.title} isn't there; apply makes it"
    state = feeding.state(found)
    return "" if state in DELIVERING else f"{feeding.title} is {state}; resume starts it"


def appears(look: Callable[[], bool], deadline: Deadline) -> bool:
    """Look until it's there, or the time is over."""
    waiting = Retrying(
        retry=retry_if_result(lambda there: not there),
        wait=wait_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) + wait_random(0, FIRST_PAUSE_SECONDS),
        stop=stop_before_delay(deadline.remaining()),
    )
    try:
        return waiting(look)
    except RetryError:
        return False


def why(cloud: Cloud, sent: Sent, messages: Iterable[Original]) -> list[str]:
    """Where a record that isn't in the table stands, as far as it can be told; a line each.

    `messages` are those that came into the error topics meanwhile.
    """
    asking = preflight_facts.Asking()
    told = [
        _set_aside(sent, messages),
        asking.learn(lambda: standstill(cloud), ""),
        asking.learn(lambda: _progress(cloud, sent), ""),
        asking.learn(lambda: _last_error(cloud, sent), ""),
    ]
    return [*filter(None, told), *asking.faults]


def _set_aside(sent: Sent, messages: Iterable[Original]) -> str:
    for letter in map(parse, messages):
        if letter and (letter.topic, letter.partition, letter.offset) == (sent.topic, sent.partition, sent.offset):
            return f"it can't be written, and was set aside: {letter.reason}: {letter.message} - at {letter.path}"
    return ""


def _progress(cloud: Cloud, sent: Sent) -> str:
    """How far the group is in the record's topic-partition."""
    group = cloud.request.settings.group
    for one in lag.of_group(preflight_facts.progress(cloud))["topic_partitions"]:
        if (one["topic"], one["partition"]) == (sent.topic, sent.partition) and one["committed"] is not None:
            committed = int(one["committed"])
            if committed > sent.offset:
                return f"{group} has gone past it, to {committed}: the function took it, and said that all is well"
            before = sent.offset - committed
            return f"{group} is at {committed}, {before} records before it: the stream hasn't delivered it"
    return f"{group} has committed nothing in {sent.topic}-{sent.partition}"


def _last_error(cloud: Cloud, sent: Sent) -> str:
    """The function's last error, by what it writes into the status topic."""
    settings, told = cloud.request.settings, statuses(cloud)
    own = Status(connector=settings.name, state="running", topic=sent.topic, partition=sent.partition)
    found = [status for key in (own.key, settings.name.encode()) if (status := told.get(key)) and status.error]
    return f"the function's last error there: {found[0].error}" if found else ""
