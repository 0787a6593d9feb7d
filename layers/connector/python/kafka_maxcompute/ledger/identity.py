"""Whether a ledger's settled offsets are still about the topic and table that are there now.

Offsets of a topic that was deleted and created again start over, so its new records look as if they were settled, and
would be dropped without a trace. A table that was created again lacks what the ledger has as written.

Each sign of that is a fault. Where records are about to be dropped, so is the want of a proof: that the table's
creation time is the ledger's, and that the topic's id is, or the record at the ledger's mark. A question that wasn't
answered proves nothing.
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
    """What is there now; whatever wasn't answered is left out.

    `table_created` is in epoch milliseconds, `topics` has topic ids, `ends` the offset that the next record of a
    topic-partition will get. `dropped` are the offsets about to be dropped as settled, `timestamps` the highest record
    timestamp (epoch ms) among them. `marks` has the digest of the record that the log holds at the ledger's mark, ""
    if it holds none there. Of the topic-partitions in `gone` there is no log; at the offsets in `others`, the log holds
    other records than the delivery has.
    """

    table: str = ""
    table_created: int | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    ends: ByTopicPartition = field(default_factory=dict)
    dropped: Offsets = field(default_factory=dict)
    timestamps: ByTopicPartition = field(default_factory=dict)
    marks: Mapping[TopicPartition, str] = field(default_factory=dict)
    gone: frozenset[TopicPartition] = frozenset()
    others: Offsets = field(default_factory=dict)

    @property
    def unlogged(self) -> dict[TopicPartition, Intervals]:
        """The dropped offsets whose delivered records are in no log that is there."""
        gone = {where: offsets for where, offsets in self.dropped.items() if where in self.gone}
        return {**self.others, **gone}


def genesis(connector: str, table: str, table_created: int | None, topics: Mapping[str, str]) -> Genesis:
    """The first operation of a connector's ledger; `topics` has the source topics' ids where brokers tell them."""
    return Genesis(identity=identity(connector, table, table_created, topics))


def identity(connector: str, table: str, table_created: int | None, topics: Mapping[str, str]) -> Identity:
    """What a ledger is about from a genesis or a reset on."""
    return Identity(connector=connector, table=table, table_created=table_created or 0, topics=dict(topics))


def begun_anew(
    about: Identity,
    starts: ByTopicPartition,
    *,
    end: int,
    now: int,
    id_: str,
    marks: Mapping[TopicPartition, Mark] | None = None,
) -> Snapshot:
    """What makes a ledger whose log was lost one that can be read again: a snapshot of a new beginning.

    `starts` has each topic-partition's first offset to deliver, `end` is the log's end, `now` (epoch ms) becomes the
    generation, which no earlier claim has. Nothing that was in the log has an effect after it, so it's for a ledger
    that can't be read any more (`LedgerError`), after an audit; any other one gets a `Reset`. `marks` are as those of a
    reset.
    """
    return Snapshot(
        state=State(
            folded=end - 1,
            generation=now,
            identity=about,
            settled=before(starts),
            starts=dict(starts),
            reset=id_,
            marks=dict(marks or {}),
            begun=dict.fromkeys(starts, now),
            former={where: ((start, LAST_OFFSET),) for where, start in starts.items()},
        )
    )


def check(state: State, observed: Observed) -> None:
    """Compare the ledger with what is there; raises `LedgerError` with everything that stands against dropping.

    Topic-partitions that are gone aren't compared: no log has their records.
    """
    signs = list(signs_of_another(state, observed))
    if signs:
        raise LedgerError(
            "the ledger of claims is about another topic or table than those that are there now, so records would be "
            f"dropped that were never written:{_listed(signs)}\nNothing was dropped. If the topic or the table was "
            "created again, run the provisioning action reset for it; if not, audit first"
        )
    doubts = list(unproven(state, observed))
    if doubts:
        raise LedgerError(
            "nothing proves that the ledger of claims is about the topic and table that are there now, so records "
            f"could be dropped that were never written:{_listed(doubts)}\nNothing was dropped; the next delivery looks "
            "again. If that doesn't help, pause the stream. If topic and table are still those that the connector has "
            "written from and into, run the provisioning action reset with same_topic; if one of them was created "
            "again, run reset for it"
        )


def signs_of_another(state: State, observed: Observed) -> Iterator[str]:
    """What shows that the ledger is about another topic or table. Pure."""
    yield from _of_table(state, observed)
    yield from _of_topics(state, observed)
    yield from _of_records(state, observed)


def unproven(state: State, observed: Observed) -> Iterator[str]:
    """What isn't proven of the table, and of the logs that records are to be dropped of. Pure."""
    if observed.dropped.keys() <= observed.gone:
        return
    known = state.identity.table_created if state.identity else 0
    if not (known and observed.table_created):
        times = known or "none", observed.table_created or "none"
        yield "table: expected its creation time in the ledger and from MaxCompute, found {} and {}".format(*times)
    yield from unproven_logs(state, observed)


def unproven_logs(state: State, observed: Observed) -> Iterator[str]:
    """Which logs that records are to be dropped of aren't proven to be the ledger's. Pure."""
    for topic, number in sorted(where for where in observed.dropped if where not in observed.gone):
        id_ = state.identity.topics.get(topic) if state.identity else None
        is_same = id_ is not None and observed.topics.get(topic) == id_
        if (topic, number) not in observed.ends:
            yield f"{topic}-{number}: expected the end of its log, found no answer"
        elif not is_same and not _is_marked(state, observed, (topic, number)):
            told = "it has none" if id_ is None else "the brokers didn't tell it"
            yield f"{topic}-{number}: expected the topic's id, but {told}, or {_mark(state, observed, (topic, number))}"


def _is_marked(state: State, observed: Observed, where: TopicPartition) -> bool:
    """Whether the mark proves it, for all that is to be dropped."""
    mark = state.marks.get(where)
    found = mark is not None and observed.marks.get(where) == mark.digest
    return found and mark is not None and observed.dropped[where][0][0] >= _first(state, where, mark)


def _first(state: State, where: TopicPartition, mark: Mark) -> int:
    """The first offset that a mark vouches for."""
    return max(mark.since, state.behind.get(where, 0))


def _mark(state: State, observed: Observed, where: TopicPartition) -> str:
    mark = state.marks.get(where)
    if mark is None:
        return "a record that the ledger has marked, but it has marked none"
    if observed.marks.get(where) == mark.digest:
        first = observed.dropped[where][0][0]
        return (
            f"a mark for offset {first}, but the ledger's mark vouches for offsets from {_first(state, where, mark)} on"
        )
    return f"the record at offset {mark.offset} that the ledger has marked, but the log has no record there"


def _listed(faults: list[str]) -> str:
    return "".join(f"\n  - {fault}" for fault in faults)


def _of_table(state: State, observed: Observed) -> Iterator[str]:
    if state.identity is None:
        return
    known, found = state.identity, observed
    if found.table and found.table.lower() != known.table.lower():
        yield f"table: expected {known.table}, found {found.table}"
    elif found.table_created and known.table_created and found.table_created != known.table_created:
        times = f"expected one created at {known.table_created} (epoch ms), found {found.table_created}"
        yield f"table {known.table}: {times}"


def _of_topics(state: State, observed: Observed) -> Iterator[str]:
    known = state.identity.topics if state.identity else {}
    for topic, found in observed.topics.items():
        if known.get(topic, found) != found:
            yield f"topic {topic}: expected the one with id {known[topic]}, found {found}"
    for (topic, number), end in observed.ends.items():
        settled = state.settled.get((topic, number))
        if settled and end <= settled[-1][1]:
            high = settled[-1][1]
            yield f"{topic}-{number}: expected its log to reach beyond settled offset {high}, found its end at {end}"
    for (topic, number), found in observed.marks.items():
        mark = state.marks.get((topic, number))
        if mark and found and found != mark.digest:
            marked = f"the record at offset {mark.offset} that the ledger has marked"
            yield f"{topic}-{number}: expected {marked}, found another"


def _of_records(state: State, observed: Observed) -> Iterator[str]:
    """No settled record is later than the latest one that was settled; before a reset's start nothing was settled."""
    for where, offsets in observed.dropped.items():
        highest, found = state.timestamps.get(where), observed.timestamps.get(where)
        if highest is None or found is None or offsets[0][0] < state.starts.get(where, 0):
            continue
        if found > highest:
            (topic, number), (first, last) = where, (offsets[0][0], offsets[-1][1])
            yield (
                f"{topic}-{number}, offsets {first} to {last}: expected none of these settled records to be later than "
                f"{highest}, found {found} (epoch ms)"
            )
