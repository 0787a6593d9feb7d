"""Whether a ledger's settled offsets are still about the topic and table that are there now.

Offsets of a topic that was deleted and made anew start over, so its new records look as if they were settled, and would
be dropped without a trace. A table made anew lacks what the ledger has as written. Each sign of it is a fault here.
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
    from kafka_maxcompute.offsets import Offsets, TopicPartition


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is there now; whatever couldn't be asked for is left out and isn't compared.

    `table_created` is in epoch milliseconds, `topics` has topic ids, `ends` the offset that the next record of a
    topic-partition will get. `dropped` are the offsets about to be dropped as settled, `timestamps` the highest record
    timestamp (epoch ms) among them.
    """

    table: str = ""
    table_created: int | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    ends: ByTopicPartition = field(default_factory=dict)
    dropped: Offsets = field(default_factory=dict)
    timestamps: ByTopicPartition = field(default_factory=dict)


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
    """Compare the ledger with what is there; raises `LedgerError` with every sign that it's about something else."""
    faults = [*_of_table(state, observed), *_of_topics(state, observed), *_of_records(state, observed)]
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        raise LedgerError(
            "the ledger of claims is about another topic or table than those that are there now, so records would be "
            f"dropped that were never written:{listed}\nNothing was dropped. If the topic or the table was made anew, "
            "run the provisioning action reset for it; if not, audit first"
        )


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
