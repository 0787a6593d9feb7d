"""A probe's records: taken out of a batch, told of in the status topic, and failed on for as long as they ask.

They never become rows, for they may be of shapes that no row can hold. A batch without them costs a few passes in C.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from kafka_maxcompute import brokers, probe
from kafka_maxcompute.appending import Append, Appender
from kafka_maxcompute.errors import ConnectorError, ProbeError
from kafka_maxcompute.originals import Original
from kafka_maxcompute.partition_value import EPOCH
from kafka_maxcompute.probe import Mark, Sighting
from kafka_maxcompute.status_topic import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fc_powertools import Deadline, Invocation
    from kafka_maxcompute.settings import Settings

MOST_TOLD = 20
"""So many records of one batch are told of; a probe has fewer."""
TELL_SECONDS = 5.0
"""The longest that a batch waits for what is told; a first producer takes half a second until it has its id."""
_SECOND = 1_000  # milliseconds

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A probe's record: its mark, the JSON type of its element, and the record as delivered."""

    mark: Mark
    element: str
    data: dict[str, Any]

    @property
    def where(self) -> str:
        """As `topic-partition-offset`."""
        return "-".join(str(self.data.get(name)) for name in ("topic", "partition", "offset"))

    def is_told_of(self, now: int) -> bool:
        """Whether it is of a probe that may still wait for it."""
        return self._follows(now, probe.TELLING_SECONDS)

    def fails(self, now: int) -> bool:
        """Whether the batch has to fail on it; never for long after its own time."""
        return now < self.mark.until and self._follows(now, probe.LONGEST_FAILURE_SECONDS)

    def _follows(self, now: int, seconds: int) -> bool:
        """Whether now is within so many seconds after the record's time."""
        time = str(self.data.get("timestamp"))
        since = now - int(time) if time.isascii() and time.isdigit() else -1_000 * _SECOND
        return -probe.AHEAD_SECONDS * _SECOND <= since < seconds * _SECOND


def taken_out(payload: bytes, settings: Settings, invocation: Invocation, deadline: Deadline) -> bytes:
    """The batch without records of probes, which are told of in the status topic; raises `ProbeError` if asked to."""
    return answered(
        payload,
        partial(_tell, settings, invocation, deadline),
        connector=settings.name,
        request_id=str(invocation.context.request_id),
        now=time.time_ns() // 1_000_000,
    )


def answered(
    payload: bytes, tell: Callable[[Sequence[Sighting]], None], *, connector: str, request_id: str, now: int
) -> bytes:
    """The batch without the records of probes; `tell` is given what is to be told of them.

    `now` is in epoch milliseconds. Raises `ProbeError` where a record asks for it.
    """
    if not probe.could_hold(payload):
        return payload
    rest, found = apart(payload)
    failing = [one for one in found if one.fails(now)]
    told = [
        Sighting(
            connector=connector,
            nonce=one.mark.nonce,
            kind=one.mark.kind,
            element=one.element,
            data=one.data,
            at=now,
            failed=bool(failing),
            request_id=request_id,
        )
        for one in found
        if one.is_told_of(now)
    ]
    if found:
        where = [one.where for one in found]
        _log.info("records of a probe", extra={"records": where, "told": len(told), "failing": len(failing)})
    if told:
        tell(told[:MOST_TOLD])
    if failing:
        until = EPOCH + timedelta(milliseconds=max(one.mark.until for one in failing))
        raise ProbeError(
            f"the probe's record {failing[0].where} asks for a failure until {until:%H:%M:%S} UTC, "
            "which shows whether the stream delivers a batch again; nothing is wrong"
        )
    return rest


def apart(payload: bytes) -> tuple[bytes, list[Found]]:
    """A batch's other elements, unchanged, and the probe's records; a batch that isn't all JSON stays as it is."""
    array = payload if payload.lstrip()[:1] == b"[" else b"[" + payload + b"]"
    try:
        elements = msgspec.json.decode(array, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return payload, []
    rest, found = [], []
    for element in map(bytes, elements):
        record = _record(element) if probe.could_hold(element) else None
        if record is None:
            rest.append(element)
        else:
            found.append(record)
    return (b"[" + b",".join(rest) + b"]", found) if found else (payload, [])


def _record(element: bytes) -> Found | None:
    try:
        event, kind = json.loads(element), "object"
        if isinstance(event, str):
            event, kind = json.loads(event), "string"
    except (ValueError, RecursionError):
        return None
    data = event.get("data", event) if isinstance(event, dict) else None
    if not isinstance(data, dict):
        return None
    mark = probe.find(data)
    return None if mark is None else Found(mark, kind, data)


def _tell(settings: Settings, invocation: Invocation, deadline: Deadline, sightings: Sequence[Sighting]) -> None:
    """Write into the status topic; failures are logged and nothing else, for no row depends on it."""
    appends = [
        Append(settings.status_topic, BY_KEY, Original(key=sighting.key, value=probe.encode(sighting)))
        for sighting in sightings
    ]
    try:
        configuration = brokers.configuration(settings, invocation.environment, invocation.credentials)
        outcomes = Appender(configuration).append(appends, deadline.within(TELL_SECONDS))
    except (ConnectorError, KafkaException) as error:
        _log.warning("a probe isn't told of", extra={"topic": settings.status_topic, "error": str(error)})
        return
    refused = [outcome.str() for outcome in outcomes if isinstance(outcome, KafkaError)]
    if refused:
        _log.warning("a probe isn't told of", extra={"topic": settings.status_topic, "error": refused[0]})
