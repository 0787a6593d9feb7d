"""The source topic of a small world: what its log holds, how its records come in a batch, and what rows they become.

Each record says in its key or value which one it is, so that a row or a letter can be told from any other's. A topic
can grow, lose its beginning, and be recreated, with or without another id, at other times or at the same ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from tests.kafka_events import HOUR_14, element

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Wanted
    from kafka_maxcompute.offsets import TopicPartition

TOPIC = "orders"
PARTITIONS = 3
HOUR_MS = 3_600_000
A_YEAR = 365 * 24 * HOUR_MS
LONG_AGO = 10 * A_YEAR
"""So much earlier are the records that stricter settings refuse for their time."""
LATER = 30 * 24 * HOUR_MS
"""How much later the records of a recreated topic are, if they aren't of the same times."""
NOW_MS = HOUR_14 + A_YEAR
ZONE = timezone(timedelta(hours=8))

Id: TypeAlias = tuple[int, int, int]
"""A record: which topic of that name it is of, its topic-partition and its offset."""


class Kind(Enum):
    """What is at an offset, as a delivery judges it."""

    GOOD = "a row"
    BAD = "can't be written"
    DOUBTFUL = "can't be written by an instance with the stricter settings"
    REFUSED = "the table doesn't take it, and says so when it's written"
    REPLACED = "bytes that aren't UTF-8, for which the event has U+FFFD: a row only if the log has lost them"
    MARKER = "no record"
    ABORTED = "a record that is never delivered"


DELIVERED = frozenset({Kind.GOOD, Kind.BAD, Kind.DOUBTFUL, Kind.REFUSED, Kind.REPLACED})
FLAWS = ("value", "absent", "minus-one", "words", "sign", "blank")
"""What is wrong with a bad record: its value's type, or its time."""


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What the log holds at an offset."""

    id: Id
    kind: Kind
    timestamp: int
    key: str | None
    value: str | None
    flaw: str = ""

    @property
    def place(self) -> TopicPartition:
        """Its topic-partition."""
        return TOPIC, self.id[1]

    @property
    def at(self) -> tuple[TopicPartition, int]:
        """Its topic-partition and offset."""
        return self.place, self.id[2]

    @property
    def original(self) -> Original:
        """The record as the log has it; only that has headers."""
        return Original(
            key=None if self.key is None else self.key.encode(),
            value=None if self.value is None else self.value.encode().replace("\ufffd".encode(), b"\xff"),
            headers=(("of", b"the log"),),
            timestamp=-1 if self.flaw == "minus-one" else self.timestamp,
        )

    @property
    def row(self) -> tuple[str, str | None, str | None]:
        """Its row's partition value, key and value."""
        moment = datetime.fromtimestamp(self.timestamp // 1_000, ZONE)
        return f"{moment:%m-%d-%Y %H}", self.key, self.value

    def event(self, random: random.Random) -> dict[str, Any]:
        """The record as an element of a batch."""
        _, number, offset = self.id
        data: dict[str, Any] = {"key": self.key, "value": self.value, "timestamp": self.timestamp}
        match self.flaw:
            case "value":
                data["value"] = offset
            case "absent":
                data["timestamp"] = None
            case "minus-one":
                data["timestamp"] = -1
            case "words":
                data["timestamp"] = "yesterday"
            case "sign":
                data["timestamp"] = f"+{self.timestamp}"
            case "blank":
                data["timestamp"] = f" {self.timestamp}"
            case _ if random.random() < 0.2:
                data["timestamp"] = str(self.timestamp)
        for name in ("key", "value"):
            if data[name] is None and random.random() < 0.5:
                data[name] = ...
        return element(offset, topic=TOPIC, partition=number, offset=offset, **data)


def said_by(key: str | None, value: str | None) -> Id:
    """Which record a row's key and value are of."""
    words = (key or value or "k").rstrip("+\ufffd")[1:].split("-")
    assert len(words) == 3, f"a row of no record: {key!r}, {value!r}"
    return int(words[0]), int(words[1]), int(words[2])


@dataclass(frozen=True, slots=True)
class Batch:
    """What one invocation gets: records, some perhaps twice, and elements that don't say which record they are."""

    order: tuple[SourceRecord | str, ...]
    payload: bytes

    @property
    def records(self) -> tuple[SourceRecord, ...]:
        """Its records, each once."""
        return tuple(dict.fromkeys(one for one in self.order if isinstance(one, SourceRecord)))

    @property
    def placeless(self) -> tuple[str, ...]:
        """The other elements' texts."""
        return tuple(one for one in self.order if isinstance(one, str))


class SourceTopic:
    """The topic; all that is random about it comes from `random`."""

    def __init__(self, random: random.Random, *, has_ids: bool, has_gaps: bool, replaced: float) -> None:
        self.incarnation = 0
        self.has_ids = has_ids
        self.log: dict[tuple[TopicPartition, int], SourceRecord] = {}
        self.starts = {(TOPIC, number): 0 for number in range(PARTITIONS)}
        self.ends = dict(self.starts)
        self._random = random
        self._has_gaps = has_gaps
        self._weights = [8, 1.5, 1, 0.3, replaced]
        self._times: dict[tuple[TopicPartition, int], int] = {}
        self._same_times = True
        self.had_same_times = False
        self._gaps: dict[int, set[tuple[TopicPartition, int]]] = {0: set()}
        self.was_truncated = False

    @property
    def ids(self) -> dict[str, str]:
        """The topic's id, where the brokers have such."""
        return {TOPIC: f"id-{self.incarnation}"} if self.has_ids else {}

    def produce(self, number: int, count: int) -> None:
        """Add to a topic-partition."""
        for _ in range(count):
            place = (TOPIC, number)
            offset = self.ends[place]
            self.log[place, offset] = record = self._record(number, offset)
            if record.kind not in DELIVERED:
                self._gaps[self.incarnation].add(record.at)
            self.ends[place] += 1

    def truncate(self, number: int, start: int) -> None:
        """Lose the beginning of a topic-partition to retention."""
        place = (TOPIC, number)
        self.was_truncated = True
        self.starts[place] = min(max(start, self.starts[place]), self.ends[place])
        self.log = {at: one for at, one in self.log.items() if at[0] != place or at[1] >= self.starts[place]}

    def compact(self, records: Iterable[SourceRecord]) -> str:
        """Lose one of some records, as if a later one had its key."""
        lost = min((one for one in records if self.log.get(one.at) == one), key=lambda one: one.id, default=None)
        if lost is None:
            return "nothing"
        self.was_truncated = True
        del self.log[lost.at]
        return str(lost.id)

    def recreate(self, *, same_times: bool) -> None:
        """Another topic of the same name, empty."""
        self.incarnation += 1
        self._gaps[self.incarnation] = set()
        self._same_times = same_times
        self.had_same_times |= same_times
        self.log.clear()
        self.starts = dict.fromkeys(self.starts, 0)
        self.ends = dict(self.starts)

    def gaps(self, since: int) -> set[tuple[TopicPartition, int]]:
        """The offsets at which there never was a record to deliver, in this topic or one that was there `since`."""
        return set().union(*(found for incarnation, found in self._gaps.items() if incarnation >= since))

    def delivered(self) -> list[SourceRecord]:
        """All records that the stream can deliver."""
        return [one for one in self.log.values() if one.kind in DELIVERED]

    def originals(self, *, committed: bool) -> MemoryOriginals:
        """The records that the log holds now, with those of aborted transactions or without."""
        hidden = {Kind.MARKER, Kind.ABORTED} if committed else {Kind.MARKER}
        return MemoryOriginals({at: one.original for at, one in self.log.items() if one.kind not in hidden})

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        """As `Originals` has it."""
        return self.originals(committed=False).read(wanted, deadline)

    def stream(self, wanted: Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """As `Originals` has it."""
        return self.originals(committed=False).stream(wanted, deadline)

    def passed(
        self, wanted: Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """As `Originals` has it."""
        return self.originals(committed=committed).passed(wanted, deadline, committed=committed)

    def _record(self, number: int, offset: int) -> SourceRecord:
        random, id_ = self._random, (self.incarnation, number, offset)
        kinds = [Kind.GOOD, Kind.BAD, Kind.DOUBTFUL, Kind.REFUSED, Kind.REPLACED]
        kind = random.choices(kinds, self._weights)[0]
        if self._has_gaps and offset % 2 and random.random() < 0.8:
            kind = random.choice([Kind.MARKER, Kind.MARKER, Kind.ABORTED])
        time = HOUR_14 + random.randrange(3) * HOUR_MS + random.randrange(60_000)
        time = self._times.setdefault(((TOPIC, number), offset), time)
        time += 0 if self._same_times else self.incarnation * LATER
        time -= LONG_AGO if kind is Kind.DOUBTFUL else 0
        key: str | None = f"k{self.incarnation}-{number}-{offset}"
        value: str | None = f"v{self.incarnation}-{number}-{offset}{'+' * self.incarnation}"
        if kind is Kind.REPLACED:
            value = f"{value}\ufffd"
        elif random.random() < 0.2:
            key = random.choice([None, ""])
        elif random.random() < 0.2:
            value = random.choice([None, ""])
        return SourceRecord(id_, kind, time, key, value, random.choice(FLAWS) if kind is Kind.BAD else "")


def batch(random: random.Random, order: Iterable[SourceRecord | str]) -> Batch:
    """The records and other elements as one invocation gets them."""
    order = tuple(order)
    is_raw = random.random() < 0.1
    texts = [one if isinstance(one, str) else _text(random, one, is_raw=is_raw) for one in order]
    blank = random.choice(["", " ", "\n\t"])
    return Batch(order, f"{blank}[{blank}{f'{blank},{blank}'.join(texts)}{blank}]{blank}".encode())


def _text(random: random.Random, record: SourceRecord, *, is_raw: bool) -> str:
    event = record.event(random)
    text = json.dumps(event["data"] if is_raw else event)
    return json.dumps(text) if not is_raw and random.random() < 0.2 else text


def placeless(number: int, random: random.Random) -> str:
    """An element that doesn't say which record it is."""
    texts: Sequence[str] = (
        f'{{"data": {{"topic": "{TOPIC}", "value": "p{number}"}}}}',
        f'{{"lost": p{number}}}',
        f"{number}",
    )
    return random.choice(texts)
