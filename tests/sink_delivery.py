"""A connector in memory, for tests of deliveries: any number of workers over one log, one table and one error topic."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.brokers.originals import MemoryOriginals
from kafka_maxcompute.dead_letters.dead_letter import MemoryDeadLetters
from kafka_maxcompute.dead_letters.error_topic import ErrorTopic
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Genesis, Identity
from kafka_maxcompute.ledger.roll_forward import Services
from kafka_maxcompute.maxcompute.row_counts import MemoryRowCounts
from kafka_maxcompute.maxcompute.table import expected
from kafka_maxcompute.maxcompute.upload_sessions import InMemoryUploadSessions
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink.blocks import Coverage, Preparation
from maxcompute_sink.exactly_once import Delivered, ExactlyOnce, deliver
from tests.deadlines import soon
from tests.kafka_events import HOUR_14

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.blocks import Blocks
    from maxcompute_sink.decode import Decoded

COLUMNS = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)
ORDERS = ("orders", 0)
IDENTITY = Identity(connector="c", table="p.t", table_created=0)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of `exactly_once.Table`, by functions."""

    prepare: Callable[[Decoded, Coverage | None], Blocks]
    renew: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Check:
    """A check of `exactly_once.Check`, by functions."""

    verify: Callable[[State, Coverage, Known], Offsets]
    unconfirmed: Callable[[State, Collection[str]], frozenset[str]] = lambda *_: frozenset()
    differing: Callable[[State, Offsets, Known], frozenset[TopicPartition]] = lambda *_: frozenset()


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks of `exactly_once.LaterMarks`, by a function."""

    later_marks: Callable[[State, Offsets, Known, Deadline], Later]


class Connector:
    """One connector's log, table, source topic and error topic; time passes only when `now` is moved."""

    def __init__(self, **settings: object) -> None:
        needed = {"name": "c", "source_topic": "orders", "endpoint": "http://127.0.0.1/api", "project": "p"}
        self.settings = Settings.from_mapping(
            needed | {"table": "t", "compression": "none", "bootstrap_servers": "127.0.0.1:1"} | settings
        )
        self.preparation = Preparation(self.settings, expected(self.settings))
        self.now = HOUR_14 / 1_000
        self.log = MemoryLog(lambda: self.now)
        self.sessions = InMemoryUploadSessions(lambda: self.now)
        self.letters = MemoryDeadLetters()
        self.originals = MemoryOriginals()
        self.verified: list[Coverage] = []
        self.ledger().append(Genesis(identity=IDENTITY), soon())

    def ledger(self) -> LogLedger:
        """A reader of its own, as each process has one."""
        return LogLedger(self.log)

    def services(self, **changed: Any) -> Services:
        """What a worker works with; `changed` replaces parts of it."""
        parts: dict[str, Any] = {
            "ledger": self.ledger(),
            "sessions": self.sessions,
            "counts": MemoryRowCounts(self.places),
            "errors": ErrorTopic(Timed(self.letters), Timed(self.originals), "c", "request-1"),
            "clock": lambda: self.now,
        } | changed
        return Services(**(parts | {name: Timed(parts[name]) for name in ("ledger", "sessions", "counts")}))

    def line(self, **changed: Any) -> ExactlyOnce:
        """A worker."""

        def verify(state: State, dropped: Coverage, known: Known) -> Offsets:
            _hold(state, dropped, known)
            if dropped.offsets:
                self.verified.append(dropped)
            return {}

        def later(state: State, covered: Offsets, known: Known, deadline: Deadline) -> Later:
            _hold(state, Coverage(dict(covered), {}), known)
            assert isinstance(deadline, Deadline)
            return {}

        return ExactlyOnce(
            self.services(**changed),
            Table(lambda decoded, coverage: self.preparation.blocks(decoded, now=HOUR_14, coverage=coverage)),
            Check(verify),
            Marks(later),
            encoding=None,
            policy=self.settings.failure_policy,
        )

    def deliver(
        self, payload: bytes, line: ExactlyOnce | None = None, *, state: State | None = None, seconds: float = 60
    ) -> Delivered:
        """One delivery of a batch, by a new worker unless one is given."""
        return self.deliver_decoded(self.preparation.decode(payload), Deadline.after(seconds), line, state=state)

    def deliver_decoded(
        self, decoded: Decoded, deadline: Deadline, line: ExactlyOnce | None = None, *, state: State | None = None
    ) -> Delivered:
        """As `deliver`, of a decoded batch and until a deadline of any clock."""
        self.metrics = Metrics("test")
        return deliver(decoded, line or self.line(), deadline=deadline, metrics=self.metrics, state=state)

    def places(self) -> Iterator[tuple[str, tuple[str, int], int]]:
        """Where each visible row is from, after its partition value."""
        for value, rows in self.rows.items():
            for row in rows:
                yield value, (row["topic"], row["partition"]), row["offset"]

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """What a reader of the table sees, by partition value."""
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for value, bodies in self.sessions.committed.items():
            for body in bodies:
                found[value] += TunnelArrowReader(COLUMNS, lambda _, body=body: io.BytesIO(body)).read().to_pylist()
        return dict(found)

    @property
    def visible(self) -> list[tuple[int, int]]:
        """Topic-partition and offset of all visible rows, sorted."""
        return sorted((place[1], offset) for _, place, offset in self.places())

    @property
    def state(self) -> State:
        """The ledger as a new reader finds it."""
        return self.ledger().read(soon())


def _hold(state: State, covered: Coverage, known: Known) -> None:
    """What is asked about records comes with a state that was read, with where they are from, and with all of them."""
    assert state.generation
    assert covered.timestamps.keys() <= covered.offsets.keys()
    assert callable(known)
    for place, found in covered.offsets.items():
        for first, last in found:
            assert all(known(place, offset) is not None for offset in range(first, last + 1))


class Timed:
    """The same service, which does nothing without a deadline: each call of each service has to say when it ends."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            assert any(isinstance(one, Deadline) for one in (*args, *kwargs.values())), f"{name} without a deadline"
            return method(*args, **kwargs)

        return called if callable(method) else method


class Hooked:
    """The same object, with a function called before one of its methods; what it raises is what the caller gets."""

    def __init__(self, inner: object, before: dict[str, Callable[..., object]], *, after: bool = False) -> None:
        self._inner, self._before, self._after = inner, before, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._before:
            return method

        def called(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                result = method(*args, **kwargs)
                self._before[name](*args)
                return result
            self._before[name](*args)
            return method(*args, **kwargs)

        return called


class KilledError(BaseException):
    """The process is gone."""


def killed_at(name: str) -> Callable[..., None]:
    """Killed at an append of such an operation."""

    def die(operation: object, *_: object) -> None:
        if type(operation).__name__ == name:
            raise KilledError

    return die


def places(*offsets: int) -> list[tuple[int, int]]:
    """These offsets of topic-partition 0, as `Connector.visible` has them."""
    return [(0, offset) for offset in offsets]
