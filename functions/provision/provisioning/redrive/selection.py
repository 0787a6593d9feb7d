"""Reads a request's selection of the dead letters to redrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from kafka_maxcompute.dead_letters.dead_letter import REASONS
from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings.names import TOPIC
from kafka_maxcompute.settings.setting import UNREADABLE, Kind, instant, listed, named, some_of, whole
from provisioning.redrive.delivered import QUEUE

if TYPE_CHECKING:
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter

Lossy: TypeAlias = Literal["as-delivered", "truncated"]
LAST_TOPIC_PARTITION = 2**31 - 1
"""The largest number of a topic-partition: in Kafka's protocol, it is a signed integer of 32 bits."""
LAST_OFFSET = 10**18 - 1
"""The largest whole number that events may have; no topic-partition gets so many records."""
UNCLEAR = "unclear"
"""Allows letters whose records may already be written or sent, if nothing proves or disproves it."""
ALLOWED: tuple[str, ...] = (*get_args(Lossy), UNCLEAR)
KNOWN_REASONS = (*REASONS, QUEUE)
"""The reasons of the sink's dead letters, and the reason of letters from EventBridge's own queue."""

EXPECTED = (
    'filters such as {"reasons": ["not-csv"], "since": "2026-11-01T00:00:00Z", "until": "2026-11-02", '
    '"topic_partitions": [0, 3], "offsets": [41], "allow": ["as-delivered", "truncated", "unclear"], '
    '"queue_topic": "...", "messages": ["..."]}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters of letters; an empty filter accepts every letter.

    `since` and `until` (epoch ms, `until` excluded) apply to the time when a letter was written, `topic_partitions` and
    `offsets` to the record's place in the source topic. `allow` has kinds of letters that are sent only if allowed:
    their bytes differ from the record's, or their records may already be written or sent. `queue_topic` and `messages`
    add the letters of EventBridge's own dead-letter queue: a Kafka topic, or bodies of messages from another queue.
    """

    reasons: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    topic_partitions: frozenset[int] = frozenset()
    offsets: frozenset[int] = frozenset()
    allow: frozenset[str] = frozenset()
    queue_topic: str = ""
    messages: tuple[str, ...] = ()

    def takes(self, letter: DeadLetter, written: int | None) -> bool:
        """Return whether the filters accept a letter that was written at `written` (epoch ms, None if unknown)."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topic_partitions or letter.partition in self.topic_partitions)
            and (not self.offsets or letter.offset in self.offsets)
            and (self.since is None or (written is not None and written >= self.since))
            and (self.until is None or (written is not None and written < self.until))
        )


def read(value: object) -> Selection:
    """Return the selection in a JSON object; raises `ConfigurationError` for faults, TypeError for another type."""
    if not isinstance(value, dict):
        raise TypeError(value)
    filters: dict[str, Any] = {}
    faults = []
    for name, given in value.items():
        kind = _FILTERS.get(name)
        if kind is None:
            faults.append(f"{name}: no such filter; known are {', '.join(_FILTERS)}")
            continue
        try:
            filters[name] = kind.read(given)
        except UNREADABLE:
            faults.append(f"{kind.fault(name, given)}; fix it")
    if faults:
        raise ConfigurationError(faults)
    return Selection(**filters)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError(value)
    return tuple(value)


_INSTANT = instant("1970-01-01T00:00:00Z")
_FILTERS: dict[str, Kind] = {
    "reasons": some_of(*KNOWN_REASONS),
    "since": _INSTANT,
    "until": _INSTANT,
    "topic_partitions": listed(whole(0, LAST_TOPIC_PARTITION), "a list of whole numbers from 0 on"),
    "offsets": listed(whole(0, LAST_OFFSET), "a list of whole numbers from 0 on"),
    "allow": some_of(*ALLOWED),
    "queue_topic": Kind("the name of a Kafka topic", named(TOPIC).read),
    "messages": Kind("a list of messages' bodies", _texts, hidden=True),
}
"""The filters that a request may have. Faults don't show the value of `messages`, because it has payloads."""
