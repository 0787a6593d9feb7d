"""The ledger's documents: what is appended to its log, and the state that the log folds to.

    Genesis    written once, when the connector is made: whose ledger it is
    Claim      an upload session is staged; its offsets are its own if none of them was taken before
    Divert     a claim without a session: its records are bound for the error topic
    Settle     what was claimed is visible in the table, or in the error topic
    Release    what was claimed is visible nowhere and never will be; its offsets are free again
    Empty      a look at the source topic found no record at these offsets
    Snapshot   the state as of a log offset, which spares readers what lies before it
    Reset      a new generation: where some topic-partitions start, and what they are from now on

On the wire each is a JSON object with the version "v" and the name "op"; what is kept by topic-partition is
{topic: {topic-partition: ...}} there, and a mapping by (topic, topic-partition) here. Version 2 packs intervals if
there are many (`kafka_maxcompute.ledger.packed`). Version 3 has a mark that vouches for some offsets only: a reader of
version 2 would take it for one that vouches for all. What has no such mark is version 2. Version 1 is read as well and
never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeAlias

import msgspec

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers.documents import DocumentError
from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.packed import pack, unpack
from kafka_maxcompute.offsets import Intervals, TopicPartition

VERSION = 3
WITHOUT_SINCE = 2
"""The version of what has no mark with `since`."""
READABLE = (1, WITHOUT_SINCE, VERSION)

ByTopicPartition: TypeAlias = Mapping[TopicPartition, int]
"""A number for each topic-partition; one that has none isn't there."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A record of a source topic's log that the ledger remembers, to tell that log from another one.

    `digest` is `kafka_maxcompute.ledger.marks.digest` of the record that the log holds at `offset`. `since` is the
    first offset that it vouches for: what claims that tell it settle from there on is of that log, and what is settled
    before may be of another one. A topic-partition's marks of one generation with one `since` are of one log.
    """

    offset: int
    digest: str
    since: int = 0


_Marks: TypeAlias = dict[TopicPartition, Mark]
_Offsets: TypeAlias = dict[TopicPartition, Intervals]
_Numbers: TypeAlias = dict[TopicPartition, int]


class _Document(msgspec.Struct, frozen=True, tag_field="op", tag=str.lower, omit_defaults=True):
    """What all have in common: nothing but their form."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger's settled offsets are about; compared by `kafka_maxcompute.ledger.identity`.

    `table` is project.table, `table_created` its creation time in epoch milliseconds; `topics` has each source topic's
    id where the brokers have such (Kafka 2.8 and later).
    """

    connector: str
    table: str
    table_created: int
    topics: dict[str, str] = {}


class Genesis(_Document, frozen=True, kw_only=True):
    """The first operation of a ledger; a later one has no effect."""

    identity: Identity


class Claim(_Document, frozen=True, kw_only=True):
    """Upload session `id` holds `rows` rows of the offsets, in `blocks`, for a partition value of the table.

    `timestamps` has the highest record timestamp (epoch ms) a topic-partition. It's here and not in `Settle`, because
    whoever settles a claim may never have seen its records.

    `begins` has a mark for topic-partitions that had none: a record of the claim itself. `marks` has later marks of
    topic-partitions that had one: both records were found in the log at the same time, and if the mark has a `since`,
    every record of the batch from there on as well. A topic-partition that is in both has lost the record of the mark
    that it had: `marks` has that one, and `begins` what replaces it.
    """

    id: str
    partition_value: str
    blocks: tuple[int, ...]
    rows: int
    offsets: _Offsets
    generation: int
    timestamps: _Numbers = {}
    begins: _Marks = {}
    marks: _Marks = {}


class Divert(_Document, frozen=True, kw_only=True):
    """The records of the offsets are bound for the error topic; `reasons` has the offsets by the reason's word.

    `untimed` has the offsets whose records' timestamps aren't known, so `timestamps` says nothing of them. `begins` and
    `marks` are as those of a claim.
    """

    id: str
    offsets: _Offsets
    reasons: dict[str, _Offsets]
    generation: int
    timestamps: _Numbers = {}
    untimed: _Offsets = {}
    begins: _Marks = {}
    marks: _Marks = {}


class Settle(_Document, frozen=True, kw_only=True):
    """What was claimed under `id` is where it belongs."""

    id: str


class Release(_Document, frozen=True, kw_only=True):
    """What was claimed under `id` is nowhere and never will be."""

    id: str


class Empty(_Document, frozen=True, kw_only=True):
    """The source topic has no record at these offsets: markers of transactions, aborted records, compacted ones."""

    offsets: _Offsets
    generation: int


class Reset(_Document, frozen=True, kw_only=True):
    """The next generation: `starts` names topic-partitions and the first offset to deliver, `id` makes it known again.

    `marks` has records of the logs that are there at the time of the reset; they replace the marks of these
    topic-partitions. Refused while anything is pending, and unless `generation` is one more than the current one.
    """

    id: str
    generation: int
    identity: Identity
    starts: _Numbers
    marks: _Marks = {}


class Pending(msgspec.Struct, frozen=True):
    """A claim or divert that is neither settled nor released; `timestamp` is the broker's (ms), -1 where unknown."""

    operation: Claim | Divert
    timestamp: int


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a ledger's log folds to, as far as log offset `folded`; generation 0 is a log without a `Genesis`.

    `settled` has offsets, `timestamps` the highest settled record timestamp (epoch ms), `starts` the first offset that
    is delivered since the last reset that named the topic-partition (what lies before it counts as settled). `reset` is
    the id of the last reset. `marks` has the record by which each topic-partition's log is known again.

    Of topic-partitions that a reset has named, `begun` has the generation of the last one, and `former` the offsets
    from `starts` on that were settled in an earlier generation: rows and letters of them may be there still.

    `behind` is for topic-partitions whose mark has a `since`: the first offset behind all claims that lie there and
    don't tell the mark, so that they may be of another log. The mark vouches for nothing before it.
    """

    folded: int = -1
    generation: int = 0
    identity: Identity | None = None
    settled: _Offsets = {}
    timestamps: _Numbers = {}
    pending: dict[str, Pending] = {}
    starts: _Numbers = {}
    reset: str = ""
    marks: _Marks = {}
    begun: _Numbers = {}
    former: _Offsets = {}
    behind: _Numbers = {}


class Snapshot(_Document, frozen=True, kw_only=True):
    """A state; its `folded` is the snapshot's cover."""

    state: State


Operation: TypeAlias = Genesis | Claim | Divert | Settle | Release | Empty | Reset | Snapshot

_INTERVALS = frozenset({"offsets", "settled", "former", "untimed"})
_OTHERS = frozenset({"timestamps", "starts", "begins", "marks", "begun", "behind"})
"""The fields that are kept by topic-partition."""


class _Covering(msgspec.Struct):
    folded: int = -1


class _Head(msgspec.Struct):
    """As much of a document as tells whether it's a snapshot, and how far it reaches."""

    v: int
    op: str
    state: _Covering | None = None


def encode(operation: Operation) -> bytes:
    """An operation as it's kept in the log."""
    document: dict[str, Any] = msgspec.to_builtins(operation)
    converted = _converted(document, lambda held: _nested(held, pack), lambda held: _nested(held, _shortened))
    version = VERSION if any(mark.since for mark in _marks(operation)) else WITHOUT_SINCE
    return msgspec.json.encode({"v": version, **converted})


def cover(value: bytes) -> int:
    """The cover of a snapshot of the log, by its head alone; -1 for anything else, which may be no operation at all."""
    try:
        head = documents.read(value, _Head)
    except DocumentError:
        return -1
    return head.state.folded if head.v in READABLE and head.op == "snapshot" and head.state is not None else -1


def decode(value: bytes) -> Operation:
    """An operation of the log; raises `LedgerError` where this version of the code can't know what it means."""
    try:
        document = documents.read(value, dict[str, Any])
        version = documents.number(document, "v")
    except DocumentError as error:
        raise LedgerError(
            f"expected an operation of the ledger, found a record that is none ({error}); "
            "something else writes to the offset topic: give the connector one of its own"
        ) from error
    if version not in READABLE:
        raise LedgerError(
            f"expected operations of version {VERSION} or before in the ledger, found version {version!r}; "
            "a newer release of this package wrote it: deploy that one again"
        )
    del document["v"]
    try:
        operation: Operation = msgspec.convert(_converted(document, lambda held: _flat(held, unpack), _flat), Operation)
    except documents.FAULTS as error:
        found = documents.described(error)
        raise LedgerError(
            f"expected an operation of the ledger in version {version}, found another form ({found}); "
            "something else writes to the offset topic: give the connector one of its own"
        ) from error
    return operation


def _marks(operation: Operation) -> Iterator[Mark]:
    """All marks of a document."""
    match operation:
        case Claim() | Divert():
            yield from chain(operation.begins.values(), operation.marks.values())
        case Reset():
            yield from operation.marks.values()
        case Snapshot():
            yield from operation.state.marks.values()
            for pending in operation.state.pending.values():
                yield from _marks(pending.operation)


def _shortened(held: Any) -> Any:
    """A mark that vouches for all as version 2 has it; anything else as it is."""
    return held[:-1] if isinstance(held, list | tuple) and not held[-1] else held


def _converted(
    document: dict[str, Any], intervals: Callable[[Any], Any], others: Callable[[Any], Any]
) -> dict[str, Any]:
    """The same with other forms of what is kept by topic-partition: of intervals, and of anything else.

    By the documents' structure, for ids and names of topics may be any word.
    """
    converted = dict(document)
    for name, held in document.items():
        if name in _INTERVALS:
            converted[name] = intervals(held)
        elif name in _OTHERS:
            converted[name] = others(held)
        elif name == "reasons":
            converted[name] = {reason: intervals(offsets) for reason, offsets in held.items()}
        elif name == "state":
            converted[name] = _converted(held, intervals, others)
        elif name == "pending":
            converted[name] = {
                key: {**one, "operation": _converted(one["operation"], intervals, others)} for key, one in held.items()
            }
    return converted


def _same(held: Any) -> Any:
    return held


def _nested(flat: dict[TopicPartition, Any], form: Callable[[Any], Any] = _same) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (topic, number), held in flat.items():
        nested.setdefault(topic, {})[str(number)] = form(held)
    return nested


def _flat(nested: dict[str, dict[str, Any]], form: Callable[[Any], Any] = _same) -> dict[TopicPartition, Any]:
    return {(topic, int(number)): form(held) for topic, numbers in nested.items() for number, held in numbers.items()}
