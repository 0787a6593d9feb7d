"""The ledger's documents: the operations that are appended to its log, and the state that the log folds to.

    Genesis    the first operation, written when the connector is created: connector, table and topics of the ledger
    Claim      an upload session holds rows of these offsets; the claim counts if none of them was taken before
    Divert     a claim without a session: the records of these offsets go to the error topic
    Settle     the claimed rows are visible in the table, or the claimed records are in the error topic
    Release    the claimed rows aren't visible and never will be; the offsets are free again
    Empty      the source topic has no record at these offsets
    Snapshot   the state as of a log offset: readers can skip the operations before
    Reset      a new generation: the start of some topic-partitions, and the identity from now on

On the wire, an operation is a JSON object with the version "v" and the name "op". Fields by topic-partition are
{topic: {topic-partition: ...}} there, and a mapping by (topic, topic-partition) here. Version 2 packs intervals if
there are many (`kafka_maxcompute.ledger.packed`). Version 3 has a mark that vouches for some offsets only: a reader
of version 2 would misread it as a mark that vouches for all. If each mark of a document vouches for all offsets, the
document has version 2. Version 1 is read as well and never written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers.documents import DocumentError
from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.packed import pack, unpack
from kafka_maxcompute.offsets import Intervals, TopicPartition

VERSION = 3
VERSION_2 = 2
"""The version of documents in which each mark vouches for all offsets."""
READABLE = (1, VERSION_2, VERSION)

ByTopicPartition: TypeAlias = Mapping[TopicPartition, int]
"""A number by topic-partition; topic-partitions without a number are left out."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A record of a source topic's log that the ledger remembers, to distinguish this log from another one.

    `digest` is `kafka_maxcompute.ledger.marks.digest` of the log's record at `offset`. `since` is the first offset that
    the mark vouches for. Offsets from `since` on that are settled by claims with this mark are of the mark's log;
    offsets settled before may be of another log. A topic-partition's marks of one generation with one `since` are of
    one log.
    """

    offset: int
    digest: str
    since: int = 0


_Marks: TypeAlias = dict[TopicPartition, Mark]
_Offsets: TypeAlias = dict[TopicPartition, Intervals]
_Numbers: TypeAlias = dict[TopicPartition, int]


class _Document(msgspec.Struct, frozen=True, tag_field="op", tag=str.lower, omit_defaults=True):
    """Base of all operations: their wire form."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The connector, the table and the topics of a ledger; compared by `kafka_maxcompute.ledger.identity`.

    `table` is project.table, `table_created` its creation time in epoch milliseconds. `topics` has the id of each
    source topic, if the brokers have topic ids (Kafka 2.8 and later).
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

    `timestamps` has each topic-partition's highest record timestamp (epoch ms). It's here and not in `Settle`, because
    a process that settles the claim may never have seen its records.

    `begins` has marks for topic-partitions without a mark in force: records of the claim itself. In a state, a pending
    claim has the mark in force instead as soon as both are proven to be of one log. `marks` has later marks for
    topic-partitions with a mark: both marks' records were in the log at the same time. If a topic-partition is in
    both fields, the record of its mark is lost: `marks` has the lost mark, and `begins` the mark that replaces it.

    `differing` has the claim's offsets in those topic-partitions whose log differed from the batch, or ended before it,
    right before the claim. The batch is of a deleted topic, and no mark of the present log vouches for these offsets.
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
    differing: _Offsets = {}


class Divert(_Document, frozen=True, kw_only=True):
    """The records of the offsets go to the error topic; `reasons` has the offsets by the dead letters' reason.

    `untimed` has the offsets of records with an unknown timestamp, which `timestamps` doesn't cover. `begins`, `marks`
    and `differing` are as in a claim.
    """

    id: str
    offsets: _Offsets
    reasons: dict[str, _Offsets]
    generation: int
    timestamps: _Numbers = {}
    untimed: _Offsets = {}
    begins: _Marks = {}
    marks: _Marks = {}
    differing: _Offsets = {}


class Settle(_Document, frozen=True, kw_only=True):
    """The rows of claim `id` are visible in the table, or the records of divert `id` are in the error topic.

    If a mark in the claim's `begins` isn't the only one of its topic-partition in the ledger, `same_log` has those
    others whose records the log had at the same time as the record of the claim's own mark. A mark that isn't there
    doesn't vouch for the claim. Earlier releases ignore the field, and never write it.
    """

    id: str
    same_log: dict[TopicPartition, tuple[Mark, ...]] = {}


class Release(_Document, frozen=True, kw_only=True):
    """The rows of claim `id` aren't visible and never will be."""

    id: str


class Empty(_Document, frozen=True, kw_only=True):
    """The source topic has no record at these offsets: markers of transactions, aborted records, compacted ones."""

    offsets: _Offsets
    generation: int


class Reset(_Document, frozen=True, kw_only=True):
    """The next generation: `starts` has topic-partitions and their first offsets to deliver, `id` identifies the reset.

    `marks` has records of the logs at the time of the reset; they replace the marks of these topic-partitions. The
    reset has no effect while a claim is pending, or if `generation` isn't one more than the current generation.
    """

    id: str
    generation: int
    identity: Identity
    starts: _Numbers
    marks: _Marks = {}


class Pending(msgspec.Struct, frozen=True):
    """A claim or divert that is neither settled nor released; `timestamp` is the broker's (epoch ms), -1 if unknown."""

    operation: Claim | Divert
    timestamp: int


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fold of a ledger's log up to log offset `folded`; generation 0 is a log without a `Genesis`.

    `settled` has the settled offsets, `timestamps` the highest settled record timestamp (epoch ms). `starts` has the
    first offset to deliver since the last reset that named the topic-partition; earlier offsets count as settled.
    `reset` is the id of the last reset. `marks` has each topic-partition's mark.

    For topic-partitions that a reset has named, `begun` has the generation of the last such reset, and `former` the
    offsets from `starts` on that were settled in an earlier generation: their rows and dead letters may still exist.

    `behind` has the first offset behind all claims that don't carry the mark and reach to the mark's `since` or
    beyond, so that they may be of another log. The mark doesn't vouch for offsets before it.
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

    @property
    def topic_ids(self) -> Mapping[str, str]:
        """The ids of the source topics that the ledger is about; empty if it has none, as before Kafka 2.8."""
        return self.identity.topics if self.identity else {}


class Snapshot(_Document, frozen=True, kw_only=True):
    """A state; its `folded` is the snapshot's cover."""

    state: State


Operation: TypeAlias = Genesis | Claim | Divert | Settle | Release | Empty | Reset | Snapshot

_INTERVALS = frozenset({"offsets", "settled", "former", "untimed", "differing"})
_NOT_INTERVALS = frozenset({"timestamps", "starts", "begins", "marks", "begun", "behind", "same_log"})
"""Together with `_INTERVALS`, the fields with a mapping by topic-partition."""


class _Covering(msgspec.Struct):
    folded: int = -1


class _Head(msgspec.Struct):
    """The fields of a document that show whether it's a snapshot, and its cover."""

    v: int
    op: str
    state: _Covering | None = None


def encode(operation: Operation) -> bytes:
    """Return an operation as the bytes that the log keeps."""
    document: dict[str, Any] = msgspec.to_builtins(operation)
    converted = _converted(document, lambda values: _nested(values, pack), lambda values: _nested(values, _shortened))
    version = VERSION if _needs_version_3(operation) else VERSION_2
    return msgspec.json.encode({"v": version, **converted})


def cover(value: bytes) -> int:
    """Return the cover of a snapshot, without decoding its state; -1 for any other record, operation or not."""
    try:
        head = documents.read(value, _Head)
    except DocumentError:
        return -1
    return head.state.folded if head.v in READABLE and head.op == "snapshot" and head.state is not None else -1


def decode(value: bytes) -> Operation:
    """Return the operation in a record's value; raises `LedgerError` if this version of the code can't read it."""
    try:
        document = documents.read(value, dict[str, Any])
        version = documents.number(document, "v")
    except DocumentError as error:
        raise LedgerError(
            f"expected an operation of the ledger, found another record ({error}); "
            "something else writes to the offset topic: give the connector one of its own"
        ) from error
    if version not in READABLE:
        raise LedgerError(
            f"expected operations of version {VERSION} or before in the ledger, found version {version!r}; "
            "a newer release of this package wrote it: deploy the newer release again"
        )
    del document["v"]
    try:
        operation: Operation = msgspec.convert(
            _converted(document, lambda nested: _flat(nested, unpack), _flat), Operation
        )
    except documents.FAULTS as error:
        fault = documents.described(error)
        raise LedgerError(
            f"expected an operation of the ledger in version {version}, found another form ({fault}); "
            "something else writes to the offset topic: give the connector one of its own"
        ) from error
    return operation


def _needs_version_3(operation: Operation) -> bool:
    """Whether a reader of version 2 would take a mark to vouch for more than it does."""
    match operation:
        case Claim() | Divert():
            return bool(operation.differing) or _has_since(operation.begins) or _has_since(operation.marks)
        case Reset():
            return _has_since(operation.marks)
        case Snapshot():
            pending = (pending.operation for pending in operation.state.pending.values())
            return (
                bool(operation.state.behind) or _has_since(operation.state.marks) or any(map(_needs_version_3, pending))
            )
    return False


def _has_since(marks: _Marks) -> bool:
    return any(mark.since for mark in marks.values())


def _shortened(mark: Any) -> Any:
    """Return a mark without `since` in version 2's form; anything else unchanged."""
    return mark[:-1] if isinstance(mark, list | tuple) and not mark[-1] else mark


def _converted(
    document: dict[str, Any], convert_intervals: Callable[[Any], Any], convert_rest: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return the document with converted fields by topic-partition: intervals one way, other values another way.

    Fields are found by the document's structure, because an id or a topic's name may be any word.
    """
    converted = dict(document)
    for name, value in document.items():
        if name in _INTERVALS:
            converted[name] = convert_intervals(value)
        elif name in _NOT_INTERVALS:
            converted[name] = convert_rest(value)
        elif name == "reasons":
            converted[name] = {reason: convert_intervals(offsets) for reason, offsets in value.items()}
        elif name == "state":
            converted[name] = _converted(value, convert_intervals, convert_rest)
        elif name == "pending":
            converted[name] = {
                key: {**pending, "operation": _converted(pending["operation"], convert_intervals, convert_rest)}
                for key, pending in value.items()
            }
    return converted


def _unchanged(value: Any) -> Any:
    return value


def _nested(flat: dict[TopicPartition, Any], convert: Callable[[Any], Any] = _unchanged) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (topic, number), value in flat.items():
        nested.setdefault(topic, {})[str(number)] = convert(value)
    return nested


def _flat(nested: dict[str, dict[str, Any]], convert: Callable[[Any], Any] = _unchanged) -> dict[TopicPartition, Any]:
    return {
        (topic, int(number)): convert(value)
        for topic, by_partition in nested.items()
        for number, value in by_partition.items()
    }
