"""Which dead letters an invocation is about."""

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
"""Kafka's own number of a topic-partition has 32 bits, signed."""
UNCLEAR = "unclear"
"""Allows letters whose records may have been written or sent since, which nobody can tell."""
ALLOWED: tuple[str, ...] = (*get_args(Lossy), UNCLEAR)
KNOWN_REASONS = (*REASONS, QUEUE)
"""Those of letters, and that of what is in EventBridge's own queue."""

EXPECTED = (
    'filters such as {"reasons": ["not-csv"], "since": "2026-11-01T00:00:00Z", "until": "2026-11-02", '
    '"topic_partitions": [0, 3], "allow": ["as-delivered", "truncated", "unclear"], '
    '"queue_topic": "...", "messages": ["..."]}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters; one that isn't given lets everything through.

    `since` and `until` (epoch milliseconds, the latter excluded) are of the time when a letter was written,
    `topic_partitions` those of the source topic. `allow` lets letters through whose bytes aren't the record's, or whose
    records may have been written or sent since.
    `queue_topic` and `messages` are where EventBridge's own dead-letter queue is read besides: a Kafka topic, and the
    bodies of messages that were taken out of a queue of another kind.
    """

    reasons: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    topic_partitions: frozenset[int] = frozenset()
    allow: frozenset[str] = frozenset()
    queue_topic: str = ""
    messages: tuple[str, ...] = ()

    def takes(self, letter: DeadLetter, written: int | None) -> bool:
        """Whether a letter that was written at that time is one of those."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topic_partitions or letter.partition in self.topic_partitions)
            and (self.since is None or (written is not None and written >= self.since))
            and (self.until is None or (written is not None and written < self.until))
        )


def read(value: object) -> Selection:
    """The selection that a JSON object stands for; TypeError for anything else, `ConfigurationError` for filters."""
    if not isinstance(value, dict):
        raise TypeError(value)
    found: dict[str, Any] = {}
    faults = []
    for name, given in value.items():
        kind = _FILTERS.get(name)
        if kind is None:
            faults.append(f"{name}: no such filter; known are {', '.join(_FILTERS)}")
            continue
        try:
            found[name] = kind.read(given)
        except UNREADABLE:
            faults.append(f"{kind.fault(name, given)}; fix it")
    if faults:
        raise ConfigurationError(faults)
    return Selection(**found)


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
    "allow": some_of(*ALLOWED),
    "queue_topic": Kind("the name of a Kafka topic", named(TOPIC).read),
    "messages": Kind("a list of messages' bodies", _texts, hidden=True),
}
"""Hidden: a message is a batch with payloads."""
