"""Takes a probe's records out of a batch, reports them in the status topic, and fails the batch if the probe wants it.

A probe's records never become rows, because a row may not be able to hold them. A batch without marks costs a few
passes in C. If a batch has marked records, the provisioner's announcements are read from the config topic. A marked
record is ordinary if no announcement of its probe can be read.
"""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.status_topic import BY_KEY
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.errors import ConnectorError, ProbeError
from kafka_maxcompute.maxcompute.partition_value import EPOCH
from kafka_maxcompute.probe_records import Announcement, ProbeMark, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.settings.settings import Settings
    from maxcompute_sink.connections import Connections

MOST_REPORTED = 20
"""The most records of one batch that are reported; a probe has fewer."""
REPORT_SECONDS = 5.0
"""The longest time that a batch waits for its report; a new producer takes half a second to get its id."""
LOOK_SECONDS = 5.0
"""The longest time that a batch waits for the announcements."""
PAUSES = 10
"""After a look that left the place of a probe unknown, there is no look for this many times the duration of that look.
So foreign marks, each of another probe, can't slow a stream down by more than a tenth."""
SHORT_BYTES = 16_384
"""The longest key, value or coordinate that is read, in bytes of JSON; a mark has far fewer, even in base64."""
_NULL = msgspec.Raw(b"null")
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MarkedRecord:
    """A record with a probe's mark; `element` is the JSON type of its element, `text` the element itself (no copy)."""

    mark: ProbeMark
    element: str
    place: tuple[object, object, object]
    text: msgspec.Raw

    @property
    def where(self) -> str:
        """The record's name in messages: topic-partition-offset."""
        return "-".join(map(str, self.place))

    @property
    def data(self) -> dict[str, Any]:
        """The whole record as delivered."""
        event = json.loads(bytes(self.text))
        event = json.loads(event) if isinstance(event, str) else event
        data: dict[str, Any] = event.get("data", event)
        return data

    def is_announced(self, known: Mapping[str, Announcement]) -> bool:
        """Return whether the record is at a place that the provisioner announced for the probe's records."""
        announcement, (topic, *numbers) = known.get(self.mark.nonce), self.place
        return announcement is not None and announcement.holds(topic, *map(_number, numbers))

    def fails(self, known: Mapping[str, Announcement], now: int) -> bool:
        """Return whether an announced record has to fail the batch; `now` is in epoch milliseconds."""
        announcement = known[self.mark.nonce]
        until = min(self.mark.until, announcement.until)
        return now < until and probe_records.may_fail(announcement, known.values(), now)


class Announcements:
    """The probes that the provisioner announced, as one instance knows them."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._known: Mapping[str, Announcement] = {}
        self._rests_until = 0.0

    def of(
        self, nonces: set[str], connect: Callable[[], Connections | None], deadline: Deadline
    ) -> Mapping[str, Announcement]:
        """Return all known announcements, after a look for these nonces if one is due; `connect` returns the clients.

        A probe is announced before its records are sent. So a probe whose announcement is absent when its record comes
        is never announced.
        """
        began = self._clock()
        if self._has_placed(nonces) or began < self._rests_until:
            return self._known
        try:
            connections = connect()
            if connections is not None:
                self._known = self._read(connections, deadline.within(LOOK_SECONDS))
        except (ConnectorError, KafkaException) as error:
            fields = {"topic": self._settings.config_topic, "error": str(error)}
            _log.warning(
                "announcements of probes can't be read; marked records are taken for ordinary ones", extra=fields
            )
        if not self._has_placed(nonces):
            self._rests_until = self._clock() + PAUSES * (self._clock() - began)
        return self._known

    def _has_placed(self, nonces: set[str]) -> bool:
        """Return whether the places of the records of all these probes are known."""
        return all(nonce in self._known and self._known[nonce].offsets for nonce in nonces)

    def _read(self, connections: Connections, deadline: Deadline) -> dict[str, Announcement]:
        log = connections.originals.read({(self._settings.config_topic, 0): WHOLE_LOG}, deadline)
        return probe_records.announcements((log[place] for place in sorted(log)), self._settings.name)


def without_probes(
    payload: bytes,
    announced: Callable[[set[str]], Mapping[str, Announcement]],
    report: Callable[[Sequence[Sighting]], None],
    *,
    request_id: str,
    now: int,
) -> bytes:
    """Return the batch without the records of announced probes; call `report` with sightings of these records.

    `announced` returns all announcements after a look for those of some nonces; `now` is in epoch milliseconds. Raises
    `ProbeError` if a probe wants a failure, and while the places of an announced probe's records aren't known.
    """
    if not probe_records.could_hold(payload):
        return payload
    elements = split(payload)
    nonces = {record.mark.nonce for _, record in elements if record is not None}
    if not nonces:
        return payload
    known = announced(nonces)
    for _, record in elements:
        announcement = known.get(record.mark.nonce) if record is not None else None
        if announcement is None or announcement.offsets:
            continue
        if probe_records.may_fail(announcement, known.values(), now):
            raise ProbeError("a probe was announced, but not yet the places of its records; nothing is wrong")
    own = [record for _, record in elements if record is not None and record.is_announced(known)]
    if not own:
        return payload
    failing = [record for record in own if record.fails(known, now)]
    recent = [record for record in own if known[record.mark.nonce].is_since(now, probe_records.SIGHTING_SECONDS)]
    sightings = [
        Sighting(
            connector=known[record.mark.nonce].connector,
            nonce=record.mark.nonce,
            kind=record.mark.kind,
            element=record.element,
            data=record.data,
            at=now,
            failed=bool(failing),
            request_id=request_id,
        )
        for record in recent[:MOST_REPORTED]
    ]
    where = [record.where for record in own]
    _log.info("records of a probe", extra={"records": where, "told": len(sightings), "failing": len(failing)})
    if sightings:
        report(sightings)
    if failing:
        until = EPOCH + timedelta(milliseconds=max(known[record.mark.nonce].until for record in failing))
        raise ProbeError(
            f"the probe's record {failing[0].where} asks for a failure until {until:%H:%M:%S} UTC, "
            "which shows whether the stream delivers a batch again; nothing is wrong"
        )
    rest = [element for element, record in elements if record is None or not record.is_announced(known)]
    return b"[" + b",".join(rest) + b"]"


def split(payload: bytes) -> list[tuple[bytes, MarkedRecord | None]]:
    """Return the elements of a batch, unchanged, each with its marked record or None; [] if the batch isn't JSON."""
    array = payload if payload.lstrip()[:1] == b"[" else b"[" + payload + b"]"
    try:
        elements = msgspec.json.decode(array, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return []
    return [
        (bytes(element), _marked_record(element) if probe_records.could_hold(bytes(element)) else None)
        for element in elements
    ]


class _Data(msgspec.Struct):
    """The members that show a probe's record, as JSON text; the decoder skips all others."""

    topic: msgspec.Raw = _NULL
    partition: msgspec.Raw = _NULL
    offset: msgspec.Raw = _NULL
    key: msgspec.Raw = _NULL
    value: msgspec.Raw = _NULL


class _Event(msgspec.Struct):
    data: _Data | msgspec.UnsetType = msgspec.UNSET


def _marked_record(element: msgspec.Raw) -> MarkedRecord | None:
    text: bytes | str = bytes(element)
    kind = "string" if text[:1] == b'"' else "object"
    try:
        if kind == "string":
            text = msgspec.json.decode(text, type=str)
        data = msgspec.json.decode(text, type=_Event).data
        if data is msgspec.UNSET:
            data = msgspec.json.decode(text, type=_Data)
        mark = probe_records.find({"key": _short(data.key), "value": _short(data.value)})
        place = _short(data.topic), _short(data.partition), _short(data.offset)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if mark is None else MarkedRecord(mark, kind, place, element)


def _short(raw: msgspec.Raw) -> object:
    """Decode a text or a number; return None for other types, and for one longer than `SHORT_BYTES`."""
    text = bytes(raw)
    return (
        msgspec.json.decode(text, type=str | int | None)
        if len(text) <= SHORT_BYTES and text[:1] not in b"[{tf"
        else None
    )


def _number(value: object) -> object:
    """Return a number that may have been delivered as digits; text above 19 digits stays text."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def report(connections: Connections, topic: str, sightings: Sequence[Sighting], deadline: Deadline) -> None:
    """Write sightings into the status topic; a failure is only logged, because no row depends on them."""
    appends = [
        Append(topic, BY_KEY, Original(key=sighting.key, value=probe_records.encode(sighting)))
        for sighting in sightings
    ]
    try:
        outcomes = Appender(connections.configuration).append(appends, deadline.within(REPORT_SECONDS))
    except (ConnectorError, KafkaException) as error:
        _log.warning("a probe can't be reported in the status topic", extra={"topic": topic, "error": str(error)})
        return
    refused = [outcome.str() for outcome in outcomes if isinstance(outcome, KafkaError)]
    if refused:
        _log.warning("a probe can't be reported in the status topic", extra={"topic": topic, "error": refused[0]})
