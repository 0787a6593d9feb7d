"""The probe: records that show what a live stream does where the services' documents are silent or disagree.

One has the function fail for a short while, and so shows whether a batch comes again; the others are of unusual shapes,
and show how those are delivered. The sink takes all of them out of their batches and tells of them in the status topic
(`kafka_maxcompute.probe_records`), so that the table never sees one. It believes the config topic, where a probe is
announced before its records are sent, and again with their offsets.
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
"""The longest batch window has 15 s; the rest is for the delivery."""
LATE_SECONDS = 15.0
"""How long records are waited for after the one that fails has come back: all were sent before it."""
WAIT_SECONDS = 2.0
FAILURE = "failure"
BYTES = b"\xff\x00\xfe"
HEADERS = (("text", b"a"), ("bytes", BYTES), ("none", None), ("text", b"again"))
"""Of one record: a name twice, bytes that are no text, and no value at all."""


def run(cloud: Cloud) -> dict[str, Any]:
    """Send the records, and see what becomes of them."""
    request, settings = cloud.request, cloud.request.settings
    against = message_test.standstill(cloud)
    if not against and not settings.bootstrap_servers:
        against = (
            "bootstrap_servers isn't set, without which the function can't tell of a probe; set it for both functions"
        )
    against = against or _exhausted(cloud)
    if against:
        return {"state": "blocked", "faults": [f"{against}; nothing was sent"]}
    nonce = uuid.uuid4().hex
    with Arrivals(cloud, {settings.status_topic, settings.error_topic, settings.dead_letter_topic}) as arrivals:
        began = time.time()
        until = int((began + FAILING_SECONDS) * 1_000)
        announcement = Announcement(connector=settings.name, nonce=nonce, began=int(began * 1_000), until=until)
        records = shaped(nonce, until)
        _announce(cloud, announcement)
        sent = message_test.send(cloud, list(records.values()), request.topic_partition)
        offsets = tuple(one.offset for one in sent)
        placed = {"topic": sent[0].topic, "partition": sent[0].partition, "offsets": offsets}
        _announce(cloud, msgspec.structs.replace(announcement, **placed))
        sightings, others = _watched(cloud, arrivals, nonce, set(records))
    _forgotten(cloud, sightings)
    reply = judged(sightings, int(began * 1_000), request.wait_seconds)
    if reply["state"] == "missing":
        reply["faults"] += message_test.why(cloud, sent[-1], others)
    place = {"topic_partition": sent[-1].partition, "offsets": [sent[0].offset, sent[-1].offset]}
    return {**reply, **place, "observed": observed(sightings, sorted(set(records)))}


def shaped(nonce: str, until: int) -> dict[str, Original]:
    """The records by their kinds; the one that fails until then (epoch milliseconds) comes last."""

    def made(kind: str, **parts: Any) -> Original:
        mark = str(ProbeMark(nonce, kind)).encode()
        # A text between quotes is JSON as well, which a stream of that value type would want.
        return Original(**{"key": mark, "value": b'"' + mark + b'"', **parts})

    records = {
        "tombstone": made("tombstone", value=None),
        "empty-value": made("empty-value", value=b""),
        "bytes-value": made("bytes-value", value=BYTES),
        "no-key": made("no-key", key=None),
        "bytes-key": made("bytes-key", key=BYTES),
        "headers": made("headers", headers=HEADERS),
    }
    return {**records, FAILURE: Original(key=str(ProbeMark(nonce, FAILURE, until)).encode(), value=b"1")}


def judged(sightings: Sequence[Sighting], began: int, seconds: int) -> dict[str, Any]:
    """Whether the batch came again, by what was told of the record that fails; times in epoch milliseconds.

    States: "redelivered"; "inconclusive", where it came too late to fail; "lost", where it failed and never came again;
    "missing", where it never came.
    """
    own = [sighting for sighting in sightings if sighting.kind == FAILURE]
    failures = sorted(sighting.at for sighting in own if sighting.failed)
    accepted = sorted(sighting.at for sighting in own if not sighting.failed)
    told: dict[str, Any] = {
        "failures": len(failures),
        "first_after_seconds": _seconds(began, [*failures, *accepted]),
        "back_after_seconds": _seconds(began, accepted) if failures else None,
    }
    if failures and accepted:
        return {"state": "redelivered", "faults": [], "redelivery": told}
    if accepted:
        fault = (
            "the record came too late to fail, so nothing is known of redelivery; probe again, the function is warm now"
        )
        return {"state": "inconclusive", "faults": [fault], "redelivery": told}
    if failures:
        fault = (
            f"the function failed, and its batch didn't come again within {seconds} s: what fails on this stream is "
            "lost; pause it, and see in template.yml what asyncInvocationType and errorsTolerance have to be"
        )
        return {"state": "lost", "faults": [fault], "redelivery": told}
    fault = f"the function told of no record of the probe within {seconds} s"
    return {"state": "missing", "faults": [fault], "redelivery": told}


def observed(sightings: Iterable[Sighting], kinds: Sequence[str]) -> dict[str, str]:
    """How each kind was delivered, as JSON text with the element's type, or as "not seen"."""
    found = {sighting.kind: sighting for sighting in sightings}
    parts = {
        "tombstone": "value",
        "empty-value": "value",
        "bytes-value": "value",
        "no-key": "key",
        "bytes-key": "key",
        "headers": "headers",
        FAILURE: "timestamp",
    }
    told = {
        f"{parts[kind]} of {kind}": _shown(found[kind].data, parts[kind]) if kind in found else "not seen"
        for kind in kinds
    }
    return {"elements": ", ".join(sorted({sighting.element for sighting in found.values()})) or "not seen", **told}


def _watched(cloud: Cloud, arrivals: Arrivals, nonce: str, wanted: set[str]) -> tuple[list[Sighting], list[Original]]:
    """What is told of the probe, and what else comes, until the record that fails has come back and all are told of."""
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
    """Why the sink wouldn't fail on a probe that begins now, "" if it would."""
    settings, deadline = cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    records = (
        record for _, _, record in cloud.clients.logs().stream({(settings.config_topic, 0): WHOLE_LOG}, deadline)
    )
    known = probe_records.announcements(records, settings.name).values()
    now = time.time_ns() // 1_000_000
    next_one = Announcement(connector=settings.name, nonce="", began=now, until=now)
    if probe_records.may_fail(next_one, known, now):
        return ""
    return f"{probe_records.MOST_IN_AN_HOUR} probes began in the last hour, and the sink fails on no more of them; wait"


def _forgotten(cloud: Cloud, sightings: Sequence[Sighting]) -> None:
    """Take back what was told: compaction drops it with these."""
    topic = cloud.request.settings.status_topic
    appends = [Append(topic, BY_KEY, Original(key=sighting.key, value=None)) for sighting in sightings]
    if appends:
        cloud.clients.appender.append(appends, cloud.deadline.within(brokers.SECONDS))


def _seconds(began: int, times: Sequence[int]) -> float | None:
    return round((times[0] - began) / 1_000, 1) if times else None


def _shown(data: dict[str, Any], part: str) -> str:
    return json.dumps(data[part]) if part in data else "absent"
