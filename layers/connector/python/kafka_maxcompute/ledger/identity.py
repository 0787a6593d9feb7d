"""Whether a ledger's settled offsets are still about the topic and the table that exist now.

Offsets of a topic that was deleted and created again start over, so its new records look as if they were settled, and
would be dropped without a trace. A table that was created again lacks rows that the ledger has as written.

Each sign of another topic or table is a fault. If records are about to be dropped, a missing proof is a fault as well.
The table is proven by its creation time, which has to be the ledger's. The topic is proven by its id, or by the record
at the ledger's mark. An unanswered question proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.operations import Genesis, Identity, Snapshot, State
from kafka_maxcompute.ledger.state import LAST_OFFSET, before

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafka_maxcompute.ledger.operations import ByTopicPartition, Mark
    from kafka_maxcompute.offsets import Intervals, Offsets, TopicPartition


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The table and the logs as they are now; unanswered questions are left out.

    `table_created` is in epoch milliseconds, `topics` has topic ids, `ends` the offset that the next record of a
    topic-partition will get. `dropped` has the offsets about to be dropped as settled, `timestamps` the highest record
    timestamp (epoch ms) among them. `marks` has the digest of the log's record at the ledger's mark, "" if the log has
    no record there. The topic-partitions in `gone` have no log. At the offsets in `differing`, the log's record isn't
    the delivery's.
    """

    table: str = ""
    table_created: int | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    ends: ByTopicPartition = field(default_factory=dict)
    dropped: Offsets = field(default_factory=dict)
    timestamps: ByTopicPartition = field(default_factory=dict)
    marks: Mapping[TopicPartition, str] = field(default_factory=dict)
    gone: frozenset[TopicPartition] = frozenset()
    differing: Offsets = field(default_factory=dict)

    @property
    def unlogged(self) -> dict[TopicPartition, Intervals]:
        """The dropped offsets whose delivered records are in no log."""
        gone = {place: offsets for place, offsets in self.dropped.items() if place in self.gone}
        return {**self.differing, **gone}


def genesis(connector: str, table: str, table_created: int | None, topics: Mapping[str, str]) -> Genesis:
    """Return the first operation of a connector's ledger; `topics` has the source topics' ids, if brokers have ids."""
    return Genesis(identity=identity(connector, table, table_created, topics))


def identity(connector: str, table: str, table_created: int | None, topics: Mapping[str, str]) -> Identity:
    """Return what a ledger is about from a genesis or a reset on."""
    return Identity(connector=connector, table=table, table_created=table_created or 0, topics=dict(topics))


def new_beginning(
    identity: Identity,
    starts: ByTopicPartition,
    *,
    end: int,
    now: int,
    id_: str,
    marks: Mapping[TopicPartition, Mark] | None = None,
) -> Snapshot:
    """Return the snapshot that makes a ledger readable again after its log was lost.

    `starts` has each topic-partition's first offset to deliver, `end` is the log's end, `now` (epoch ms) becomes the
    generation, which no earlier claim has. Earlier operations in the log have no effect after the snapshot. So it's
    only for a ledger that can't be read any more (`LedgerError`), after an audit; any other ledger gets a `Reset`.
    `marks` are as those of a reset.
    """
    return Snapshot(
        state=State(
            folded=end - 1,
            generation=now,
            identity=identity,
            settled=before(starts),
            starts=dict(starts),
            reset=id_,
            marks=dict(marks or {}),
            begun=dict.fromkeys(starts, now),
            former={place: ((start, LAST_OFFSET),) for place, start in starts.items()},
        )
    )


def check(state: State, observed: Observed) -> None:
    """Compare the ledger with what was observed; raises `LedgerError` with everything that stands against dropping.

    Topic-partitions that are gone aren't compared: no log has their records.
    """
    signs = list(signs_of_another(state, observed))
    if signs:
        raise LedgerError(
            "the ledger of claims is about another topic or table than the present ones, so records would be dropped "
            f"that were never written:{_listed(signs)}\nNothing was dropped. If the topic or the table was created "
            "again, run the provisioning action reset for it; if not, run the action audit first"
        )
    doubts = list(unproven(state, observed))
    if doubts:
        raise LedgerError(
            "nothing proves that the ledger of claims is about the present topic and table, so records could be "
            f"dropped that were never written:{_listed(doubts)}\nNothing was dropped; the next delivery checks again. "
            "If the error comes again, pause the stream. If the connector has always read this topic and written this "
            "table, run the provisioning action reset with same_topic; if the topic or the table was created again, "
            "run reset for it"
        )


def signs_of_another(state: State, observed: Observed) -> Iterator[str]:
    """Yield each sign that the ledger is about another topic or table. Pure."""
    yield from _of_table(state, observed)
    yield from _of_topics(state, observed)
    yield from _of_records(state, observed)


def unproven(state: State, observed: Observed) -> Iterator[str]:
    """Yield each missing proof for the table and for the logs whose records are to be dropped. Pure."""
    if observed.dropped.keys() <= observed.gone:
        return
    recorded = state.identity.table_created if state.identity else 0
    if not (recorded and observed.table_created):
        times = recorded or "none", observed.table_created or "none"
        yield "table: expected its creation time in the ledger and from MaxCompute, found {} and {}".format(*times)
    yield from unproven_logs(state, observed)


def unproven_logs(state: State, observed: Observed) -> Iterator[str]:
    """Yield each log whose records are to be dropped and that isn't proven to be the ledger's. Pure."""
    for topic, number in sorted(place for place in observed.dropped if place not in observed.gone):
        id_ = state.topic_ids.get(topic)
        is_same = id_ is not None and observed.topics.get(topic) == id_
        if (topic, number) not in observed.ends:
            yield f"{topic}-{number}: expected the end of its log, found no answer"
        elif not is_same and not _is_marked(state, observed, (topic, number)):
            cause = "the ledger has none" if id_ is None else "the brokers didn't return it"
            mark = _mark(state, observed, (topic, number))
            yield f"{topic}-{number}: expected the topic's id, but {cause}, or {mark}"


def _is_marked(state: State, observed: Observed, place: TopicPartition) -> bool:
    """Whether the mark proves that the log is the ledger's, for all offsets that are to be dropped."""
    mark = state.marks.get(place)
    is_equal = mark is not None and observed.marks.get(place) == mark.digest
    return is_equal and mark is not None and observed.dropped[place][0][0] >= _first(state, place, mark)


def _first(state: State, place: TopicPartition, mark: Mark) -> int:
    """Return the first offset that a mark vouches for."""
    return max(mark.since, state.behind.get(place, 0))


def _mark(state: State, observed: Observed, place: TopicPartition) -> str:
    mark = state.marks.get(place)
    if mark is None:
        return "a record that the ledger has marked, but it has marked none"
    if observed.marks.get(place) == mark.digest:
        first = observed.dropped[place][0][0]
        return (
            f"a mark for offset {first}, but the ledger's mark vouches for offsets from {_first(state, place, mark)} on"
        )
    return f"the record at offset {mark.offset} that the ledger has marked, but the log has no record there"


def _listed(faults: list[str]) -> str:
    return "".join(f"\n  - {fault}" for fault in faults)


def _of_table(state: State, observed: Observed) -> Iterator[str]:
    if state.identity is None:
        return
    recorded = state.identity
    if observed.table and observed.table.lower() != recorded.table.lower():
        yield f"table: expected {recorded.table}, found {observed.table}"
    elif observed.table_created and recorded.table_created and observed.table_created != recorded.table_created:
        times = f"expected one created at {recorded.table_created} (epoch ms), found {observed.table_created}"
        yield f"table {recorded.table}: {times}"


def _of_topics(state: State, observed: Observed) -> Iterator[str]:
    recorded = state.topic_ids
    for topic, id_ in observed.topics.items():
        if recorded.get(topic, id_) != id_:
            yield f"topic {topic}: expected the topic with id {recorded[topic]}, found {id_}"
    for (topic, number), end in observed.ends.items():
        settled = state.settled.get((topic, number))
        if settled and end <= settled[-1][1]:
            high = settled[-1][1]
            yield f"{topic}-{number}: expected its log to reach beyond settled offset {high}, found its end at {end}"
    for (topic, number), digest in observed.marks.items():
        mark = state.marks.get((topic, number))
        if mark and digest and digest != mark.digest:
            marked = f"the record at offset {mark.offset} that the ledger has marked"
            yield f"{topic}-{number}: expected {marked}, found another"


def _of_records(state: State, observed: Observed) -> Iterator[str]:
    """Yield the topic-partitions with a dropped record that is later than every settled record.

    Before the start that a reset has set, offsets count as settled although their records' times aren't known.
    """
    for place, offsets in observed.dropped.items():
        highest, latest = state.timestamps.get(place), observed.timestamps.get(place)
        if highest is None or latest is None or offsets[0][0] < state.starts.get(place, 0):
            continue
        if latest > highest:
            (topic, number), (first, last) = place, (offsets[0][0], offsets[-1][1])
            yield (
                f"{topic}-{number}, offsets {first} to {last}: expected none of these settled records to be later than "
                f"{highest}, found {latest} (epoch ms)"
            )
