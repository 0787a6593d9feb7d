"""A probe's records: taken out of a batch, told of in the status topic, and failed on for as long as was announced.

They never become rows, for they may be of shapes that no row can hold. A batch without marks costs a few passes in C.
With one, the config topic is asked whether the provisioner announced it; a marked record that isn't announced, or of
which that can't be found out, is an ordinary record.
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

MOST_TOLD = 20
"""So many records of one batch are told of; a probe has fewer."""
TELL_SECONDS = 5.0
"""The longest that a batch waits for what is told; a first producer takes half a second until it has its id."""
LOOK_SECONDS = 5.0
"""The longest that a batch waits for what was announced."""
PAUSES = 10
"""After a look that left the place of any probe unknown, no look follows for so many times the time that it took: marks
of somebody else's, each of another probe, can't slow a stream down by more than a tenth."""
SHORT_BYTES = 16_384
"""The longest key, value or coordinate that is looked at, as JSON; a mark has far fewer, even escaped in base64."""
_NULL = msgspec.Raw(b"null")
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A marked record: its mark, the JSON type of its element, its place, and its element's text (no copy of it)."""

    mark: ProbeMark
    element: str
    place: tuple[object, object, object]
    text: msgspec.Raw

    @property
    def where(self) -> str:
        """As `topic-partition-offset`."""
        return "-".join(map(str, self.place))

    @property
    def data(self) -> dict[str, Any]:
        """The record as delivered, whole."""
        event = json.loads(bytes(self.text))
        event = json.loads(event) if isinstance(event, str) else event
        data: dict[str, Any] = event.get("data", event)
        return data

    def is_announced(self, known: Mapping[str, Announcement]) -> bool:
        """Whether it's where the provisioner's announcement says that the probe's records are."""
        one, (topic, *numbers) = known.get(self.mark.nonce), self.place
        return one is not None and one.holds(topic, *map(_number, numbers))

    def fails(self, known: Mapping[str, Announcement], now: int) -> bool:
        """Whether the batch has to fail on it, an announced one; `now` is in epoch milliseconds."""
        one = known[self.mark.nonce]
        return now < min(self.mark.until, one.until) and probe_records.may_fail(one, known.values(), now)


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
        """All that are known after a look for these, if one is due; `connect` gives the clients of the brokers.

        A probe is announced before its records are sent, so what isn't announced when a record comes never will be.
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
            _log.warning("whether marked records are a probe's can't be found out; they are ordinary", extra=fields)
        if not self._has_placed(nonces):
            self._rests_until = self._clock() + PAUSES * (self._clock() - began)
        return self._known

    def _has_placed(self, nonces: set[str]) -> bool:
        """Whether it's known where the records of all these probes are."""
        return all(one in self._known and self._known[one].offsets for one in nonces)

    def _read(self, connections: Connections, deadline: Deadline) -> dict[str, Announcement]:
        log = connections.originals.read({(self._settings.config_topic, 0): WHOLE_LOG}, deadline)
        return probe_records.announcements((log[place] for place in sorted(log)), self._settings.name)


def answered(
    payload: bytes,
    announced: Callable[[set[str]], Mapping[str, Announcement]],
    tell: Callable[[Sequence[Sighting]], None],
    *,
    request_id: str,
    now: int,
) -> bytes:
    """The batch without the records of probes that were announced; `tell` is given what is to be told of them.

    `announced` gives all announcements after a look for those of some nonces; `now` is in epoch milliseconds. Raises
    `ProbeError` if a probe asks for it, and while one is announced whose records have no place yet.
    """
    if not probe_records.could_hold(payload):
        return payload
    elements = apart(payload)
    nonces = {found.mark.nonce for _, found in elements if found is not None}
    if not nonces:
        return payload
    known = announced(nonces)
    for _, found in elements:
        one = known.get(found.mark.nonce) if found is not None else None
        if one is not None and not one.offsets and probe_records.may_fail(one, known.values(), now):
            raise ProbeError("a probe was announced, and where its records are isn't yet; nothing is wrong")
    own = [found for _, found in elements if found is not None and found.is_announced(known)]
    if not own:
        return payload
    failing = [one for one in own if one.fails(known, now)]
    told = [
        Sighting(
            connector=known[one.mark.nonce].connector,
            nonce=one.mark.nonce,
            kind=one.mark.kind,
            element=one.element,
            data=one.data,
            at=now,
            failed=bool(failing),
            request_id=request_id,
        )
        for one in [one for one in own if known[one.mark.nonce].is_since(now, probe_records.TELLING_SECONDS)][
            :MOST_TOLD
        ]
    ]
    where = [one.where for one in own]
    _log.info("records of a probe", extra={"records": where, "told": len(told), "failing": len(failing)})
    if told:
        tell(told)
    if failing:
        until = EPOCH + timedelta(milliseconds=max(known[one.mark.nonce].until for one in failing))
        raise ProbeError(
            f"the probe's record {failing[0].where} asks for a failure until {until:%H:%M:%S} UTC, "
            "which shows whether the stream delivers a batch again; nothing is wrong"
        )
    rest = [element for element, found in elements if found is None or not found.is_announced(known)]
    return b"[" + b",".join(rest) + b"]"


def apart(payload: bytes) -> list[tuple[bytes, Found | None]]:
    """A batch's elements, unchanged, each with its mark if it has one; none of a batch that isn't all JSON."""
    array = payload if payload.lstrip()[:1] == b"[" else b"[" + payload + b"]"
    try:
        elements = msgspec.json.decode(array, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return []
    return [
        (bytes(element), _record(element) if probe_records.could_hold(bytes(element)) else None) for element in elements
    ]


class _Data(msgspec.Struct):
    """What tells a probe's record; the decoder skips the rest of it, and leaves these as text."""

    topic: msgspec.Raw = _NULL
    partition: msgspec.Raw = _NULL
    offset: msgspec.Raw = _NULL
    key: msgspec.Raw = _NULL
    value: msgspec.Raw = _NULL


class _Event(msgspec.Struct):
    data: _Data | msgspec.UnsetType = msgspec.UNSET


def _record(element: msgspec.Raw) -> Found | None:
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
    return None if mark is None else Found(mark, kind, place, element)


def _short(text: msgspec.Raw) -> object:
    """A text or a number; None for anything else, or longer than any that matters here."""
    taken = bytes(text)
    return (
        msgspec.json.decode(taken, type=str | int | None)
        if len(taken) <= SHORT_BYTES and taken[:1] not in b"[{tf"
        else None
    )


def _number(value: object) -> object:
    """A number that may have been delivered as text, of 64 bits at most: Python refuses to read 5,000 digits."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def tell(connections: Connections, topic: str, sightings: Sequence[Sighting], deadline: Deadline) -> None:
    """Write into the status topic; failures are logged and nothing else, for no row depends on it."""
    appends = [
        Append(topic, BY_KEY, Original(key=sighting.key, value=probe_records.encode(sighting)))
        for sighting in sightings
    ]
    try:
        outcomes = Appender(connections.configuration).append(appends, deadline.within(TELL_SECONDS))
    except (ConnectorError, KafkaException) as error:
        _log.warning("a probe isn't told of", extra={"topic": topic, "error": str(error)})
        return
    refused = [outcome.str() for outcome in outcomes if isinstance(outcome, KafkaError)]
    if refused:
        _log.warning("a probe isn't told of", extra={"topic": topic, "error": refused[0]})
