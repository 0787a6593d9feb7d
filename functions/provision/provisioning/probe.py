"""The probe: records that show how a live stream behaves in cases that the services' documents leave open.

One record makes the function fail for a short while, and so shows whether a batch is delivered again; the others have
unusual shapes, and show how the stream delivers these. The sink removes all of them from their batches and reports each
in the status topic (`kafka_maxcompute.probe_records`), so the table never gets one. The sink accepts only records of an
announced probe: the config topic has an announcement before the records are sent, and another one with their offsets.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers.appending import Append
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.status_topic import BY_KEY
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.probe_records import Announcement, ProbeMark, Sighting
from provisioning import brokers, message_test
from provisioning.new_records import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provisioning.cloud import Cloud

FAILING_SECONDS = 20.0
"""How long the function fails: the longest batch window has 15 s, the rest is for the delivery."""
LATE_SECONDS = 15.0
"""The wait for the other records after the failing record was delivered again: they were sent before it."""
WAIT_SECONDS = 2.0
FAILURE = "failure"
BYTES = b"\xff\x00\xfe"
HEADERS = (("text", b"a"), ("bytes", BYTES), ("none", None), ("text", b"again"))
"""The headers of one record: a name that occurs twice, bytes that aren't text, and a header without a value."""


def run(cloud: Cloud) -> dict[str, Any]:
    """Send the records of a probe, and report what the function saw of them."""
    request, settings = cloud.request, cloud.request.settings
    obstacle = message_test.standstill(cloud)
    if not obstacle and not settings.bootstrap_servers:
        obstacle = "bootstrap_servers isn't set, so the function can't report a probe; set it for both functions"
    obstacle = obstacle or _exhausted(cloud)
    if obstacle:
        return {"state": "blocked", "faults": [f"{obstacle}; nothing was sent"]}
    nonce = uuid.uuid4().hex
    with Arrivals(cloud, {settings.status_topic, settings.error_topic, settings.dead_letter_topic}) as arrivals:
        began = time.time()
        until = int((began + FAILING_SECONDS) * 1_000)
        announcement = Announcement(connector=settings.name, nonce=nonce, began=int(began * 1_000), until=until)
        records = probe_originals(nonce, until)
        _announce(cloud, announcement)
        sent = message_test.send(cloud, list(records.values()), request.topic_partition)
        offsets = tuple(record.offset for record in sent)
        placed = {"topic": sent[0].topic, "partition": sent[0].partition, "offsets": offsets}
        _announce(cloud, msgspec.structs.replace(announcement, **placed))
        sightings, dead_letters = _watch(cloud, arrivals, nonce, set(records))
    _remove(cloud, sightings)
    reply = redelivery(sightings, int(began * 1_000), request.wait_seconds)
    if reply["state"] == "missing":
        reply["faults"] += message_test.reasons(cloud, sent[-1], dead_letters)
    place = {"topic_partition": sent[-1].partition, "offsets": [sent[0].offset, sent[-1].offset]}
    return {**reply, **place, "observed": observed(sightings, sorted(set(records)))}


def probe_originals(nonce: str, until: int) -> dict[str, Original]:
    """Return the records by their kinds; the last record makes the function fail until `until` (epoch milliseconds)."""

    def original(kind: str, **parts: Any) -> Original:
        mark = str(ProbeMark(nonce, kind)).encode()
        # A text between quotes is JSON, which a stream of value type Json needs.
        return Original(**{"key": mark, "value": b'"' + mark + b'"', **parts})

    records = {
        "tombstone": original("tombstone", value=None),
        "empty-value": original("empty-value", value=b""),
        "bytes-value": original("bytes-value", value=BYTES),
        "no-key": original("no-key", key=None),
        "bytes-key": original("bytes-key", key=BYTES),
        "headers": original("headers", headers=HEADERS),
    }
    return {**records, FAILURE: Original(key=str(ProbeMark(nonce, FAILURE, until)).encode(), value=b"1")}


def redelivery(sightings: Sequence[Sighting], began: int, seconds: int) -> dict[str, Any]:
    """Return whether the batch was delivered again, from the sightings of the failing record; `began` in epoch ms.

    States: "redelivered"; "inconclusive": the record came too late to fail; "lost": the function failed, and the record
    wasn't delivered again; "missing": the record was never delivered.
    """
    own = [sighting for sighting in sightings if sighting.kind == FAILURE]
    failures = sorted(sighting.at for sighting in own if sighting.failed)
    accepted = sorted(sighting.at for sighting in own if not sighting.failed)
    facts: dict[str, Any] = {
        "failures": len(failures),
        "first_after_seconds": _seconds(began, [*failures, *accepted]),
        "back_after_seconds": _seconds(began, accepted) if failures else None,
    }
    if failures and accepted:
        return {"state": "redelivered", "faults": [], "redelivery": facts}
    if accepted:
        fault = (
            "the record came too late to fail, so nothing is known of redelivery; probe again, the function is warm now"
        )
        return {"state": "inconclusive", "faults": [fault], "redelivery": facts}
    if failures:
        fault = (
            f"the function failed, and its batch wasn't delivered again within {seconds} s: a batch that fails on this "
            "stream is lost; pause the stream, and set asyncInvocationType and errorsTolerance as template.yml says"
        )
        return {"state": "lost", "faults": [fault], "redelivery": facts}
    fault = f"the function reported no record of the probe within {seconds} s"
    return {"state": "missing", "faults": [fault], "redelivery": facts}


def observed(sightings: Iterable[Sighting], kinds: Sequence[str]) -> dict[str, str]:
    """Return how each kind was delivered: its part's JSON text, or "not seen"; `elements` has the elements' types."""
    by_kind = {sighting.kind: sighting for sighting in sightings}
    parts = {
        "tombstone": "value",
        "empty-value": "value",
        "bytes-value": "value",
        "no-key": "key",
        "bytes-key": "key",
        "headers": "headers",
        FAILURE: "timestamp",
    }
    delivered = {
        f"{parts[kind]} of {kind}": _json(by_kind[kind].data, parts[kind]) if kind in by_kind else "not seen"
        for kind in kinds
    }
    elements = ", ".join(sorted({sighting.element for sighting in by_kind.values()})) or "not seen"
    return {"elements": elements, **delivered}


def _watch(cloud: Cloud, arrivals: Arrivals, nonce: str, wanted: set[str]) -> tuple[list[Sighting], list[Original]]:
    """Return the probe's sightings and the other new records of the topics.

    Waits until every wanted kind was seen and the failing record was accepted, or the time is over.
    """
    sightings: list[Sighting] = []
    others: list[Original] = []
    patience = cloud.deadline.earlier(message_test.REASON_SECONDS).within(cloud.request.wait_seconds)
    while not patience.expired and wanted:
        for message in arrivals.wait(min(WAIT_SECONDS, patience.remaining())):
            sighting = probe_records.parse(message.value)
            if sighting is None or sighting.nonce != nonce:
                others.append(message)
                continue
            sightings.append(sighting)
            if sighting.kind != FAILURE:
                wanted.discard(sighting.kind)
            elif not sighting.failed and FAILURE in wanted:
                wanted.discard(FAILURE)
                patience = patience.within(LATE_SECONDS)
    return sightings, others


def _announce(cloud: Cloud, announcement: Announcement) -> None:
    brokers.write(cloud, cloud.request.settings.config_topic, announcement.key, probe_records.encode(announcement))


def _exhausted(cloud: Cloud) -> str:
    """Return why the sink wouldn't fail on a probe that begins now, "" if it would fail."""
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    records = (
        record for _, _, record in cloud.clients.logs().stream({(settings.config_topic, 0): WHOLE_LOG}, deadline)
    )
    earlier = probe_records.announcements(records, settings.name).values()
    now = time.time_ns() // 1_000_000
    upcoming = Announcement(connector=settings.name, nonce="", began=now, until=now)
    if probe_records.may_fail(upcoming, earlier, now):
        return ""
    return f"{probe_records.MOST_IN_AN_HOUR} probes began in the last hour, the most that the sink takes part in; wait"


def _remove(cloud: Cloud, sightings: Sequence[Sighting]) -> None:
    """Append records without a value, with which compaction drops the sightings."""
    topic = cloud.request.settings.status_topic
    appends = [Append(topic, BY_KEY, Original(key=sighting.key, value=None)) for sighting in sightings]
    if appends:
        cloud.clients.appender.append(appends, cloud.deadline.within(brokers.SECONDS))


def _seconds(began: int, times: Sequence[int]) -> float | None:
    return round((times[0] - began) / 1_000, 1) if times else None


def _json(data: dict[str, Any], part: str) -> str:
    return json.dumps(data[part]) if part in data else "absent"
