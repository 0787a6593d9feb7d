"""What a delivery in a small world works with: the ledger's log, the table, the error topic, what brokers say."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import structs

from kafka_maxcompute.dead_letters.dead_letter import MemoryDeadLetters
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Claim, Divert, decode
from maxcompute_sink.old_claims import OldClaims
from tests.property.reference_fold import Reference, every
from tests.property.source_topic import Kind, SourceRecord
from tests.property.world_judge import Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.ledger.gaps import Gaps
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import Operation
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.maxcompute.upload_sessions import UploadSession
    from kafka_maxcompute.offsets import TopicPartition
    from tests.property.delivery_world import World
    from tests.property.interleaving import Gate, Worker
    from tests.property.reference_fold import At
    from tests.property.source_topic import Batch

SNAPSHOT_EVERY = 4


class WorldLog(MemoryLog):
    """A log that tells the reference of each operation when it comes in.

    Without `has_marks` an earlier release writes it, which makes none.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock, chunk=3)
        self.reference = Reference()
        self.appending = threading.local()
        self.has_marks = True

    def append(self, key: bytes, value: bytes | None, deadline: Deadline) -> int:
        """Append a record, or a tombstone."""
        offset = super().append(key, value, deadline)
        self.reference.add(None if value is None else self.appending.operation)
        return offset


class JudgedLedger(LogLedger):
    """A ledger each of whose states is compared with the reference."""

    def __init__(self, log: Any, world_log: WorldLog) -> None:
        super().__init__(log, snapshot_every=SNAPSHOT_EVERY)
        self._world_log = world_log

    def append(self, operation: Operation, deadline: Deadline) -> int | None:
        """Append an operation."""
        if isinstance(operation, Claim | Divert) and not self._world_log.has_marks:
            operation = structs.replace(operation, begins={}, marks={})
        self._world_log.appending.operation = operation
        return super().append(operation, deadline)

    def read(self, deadline: Deadline, *, through: int | None = None) -> State:
        """The state, which has to be what the log says."""
        state = super().read(deadline, through=through)
        self._world_log.reference.check(state)
        return state


@dataclass
class Instance:
    """One process of the function, from its start to its death."""

    gate: Gate
    ledger: LogLedger
    strict: bool
    state: State | None = None
    old_claims: OldClaims = field(default_factory=OldClaims)
    gaps: Gaps | None = None
    later: Later = field(default_factory=dict)


@dataclass(eq=False)
class Delivery:
    """One batch on its way, in the era in which it began."""

    instance: Instance
    batch: Batch
    stops: bool
    looks: bool
    era: int
    has_read: bool
    settled: frozenset[At]
    worker: Worker = field(init=False)

    def bad(self) -> set[Kind]:
        """What can't be written, as this delivery judges it."""
        return {Kind.BAD, Kind.DOUBTFUL} if self.instance.strict else {Kind.BAD}

    def before(self) -> list[SourceRecord]:
        """The batch's records up to its first element that is none."""
        order = self.batch.order
        end = order.index(self.batch.placeless[0]) if self.batch.placeless else len(order)
        return [one for one in order[:end] if isinstance(one, SourceRecord)]

    def stop_at(self, settled: frozenset[At] | None = None) -> dict[TopicPartition, int]:
        """The first bad record of each topic-partition that isn't settled: in the end, or in the beginning."""
        first: dict[TopicPartition, int] = {}
        for one in self.before():
            if one.kind in self.bad() and one.at not in (self.settled if settled is None else settled):
                first[one.place] = min(one.id[2], first.get(one.place, one.id[2]))
        return first


class Appending:
    """A delivery's ledger: what it may append, and whether it has read anything."""

    def __init__(self, ledger: LogLedger, delivery: Delivery) -> None:
        self._ledger = ledger
        self._delivery = delivery

    def read(self, deadline: Deadline, *, through: int | None = None) -> State:
        state = self._ledger.read(deadline, through=through)
        self._delivery.has_read = True
        return state

    def append(self, operation: Operation, deadline: Deadline) -> int | None:
        assert not (self._delivery.stops and isinstance(operation, Divert)), "diverted although the policy is to stop"
        return self._ledger.append(operation, deadline)

    def maintain(self, deadline: Deadline) -> None:
        self._ledger.maintain(deadline)


class Opening:
    """The table for one delivery, which is known as the one that opened its sessions."""

    def __init__(self, world: World, delivery: Delivery) -> None:
        self._world = world
        self._delivery = delivery
        self.put_block, self.look, self.commit = world.table.put_block, world.table.look, world.table.commit

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:
        session = self._world.table.open(partition_value, deadline)
        self._world.opened[session.id] = self._delivery
        return session


class Letters:
    """The error topic for one delivery.

    A letter is of the present era if its record is being diverted. Else it's another copy, or a fault: then it's of the
    era in which its delivery began.
    """

    def __init__(self, world: World, delivery: Delivery) -> None:
        self._world = world
        self._delivery = delivery

    def write(self, letters: Sequence[DeadLetter], deadline: Deadline) -> None:
        topic = MemoryDeadLetters()
        topic.write(letters, deadline)
        pending = frozenset().union(*(every(one.offsets) for one in self._world.truth.pending.values()))
        for letter in topic.letters:
            is_pending = ((letter.topic, letter.partition), letter.offset) in pending
            self._world.letters.append(Letter(letter, self._world.era if is_pending else self._delivery.era))


class Bounds:
    """What brokers say of the source topic."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ids(self) -> dict[str, str]:
        return self._world.topic.ids

    def ends(self) -> dict[TopicPartition, int]:
        return dict(self._world.topic.ends)

    def limits(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Where the logs begin, and up to where all that was ever delivered is acknowledged, as the group commits."""
        world, starts = self._world, self._world.truth.starts
        limits = {place: (world.topic.starts[place], world.topic.ends[place]) for place in places}
        for one in (*world.topic.delivered(), *world.known.values()):
            if one.id[2] < starts.get(one.place, 0) or one.id[0] != world.topic.incarnation:
                continue
            if one.place in limits and one not in world.acknowledged:
                start, end = limits[one.place]
                limits[one.place] = start, min(end, one.id[2])
        return limits


def named_append(call: str, arguments: tuple[Any, ...]) -> str:
    """A call of the log; an append by what is appended."""
    return f"append {type(decode(arguments[1])).__name__.lower()}" if call == "append" else call
