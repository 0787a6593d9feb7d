"""The occasional work of an instance around a batch: marks, gaps, the ledger's length, lag, and the status topic.

A failure here is logged and doesn't fail the batch.
"""

from __future__ import annotations

import logging
import time
from math import inf
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.status_topic import Status
from kafka_maxcompute.errors import BatchError, LedgerError
from kafka_maxcompute.ledger import marks, source_topics
from kafka_maxcompute.ledger.gaps import Gaps
from kafka_maxcompute.ledger.state import is_claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.gaps import Limits
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.connections import Connections

SECONDS = 5.0
"""The longest time by which this work delays the reply to a batch."""
LOOK_SECONDS = 30.0
"""How often the ends of the source topic's logs and later marks are read."""
GAP_PAUSE_SECONDS = 2.0
"""How long gaps are skipped after a look that settled none: the group is still before them, or they hold records."""

_log = logging.getLogger(__name__)


class Upkeep:
    """The upkeep of one connector by one instance."""

    def __init__(self, connector: str, connections: Connections, clock: Callable[[], float] = time.monotonic) -> None:
        self._connector = connector
        self._connections = connections
        self._clock = clock
        self._later: Later = {}
        self._read_marks: dict[TopicPartition, float] = {}
        self._measured: float | None = None
        ledger = connections.ledger
        self._gaps = None if ledger is None else Gaps(ledger, connections.originals, self._limits)
        self._skips_gaps_until = -inf

    def later_marks(self, state: State, covered: Offsets, known: Known, deadline: Deadline) -> Later:
        """Return later marks for the claims of a batch, and first marks of topic-partitions without a mark.

        They are read before the claim, so that an instance's first batch already has marks: an instance of a topic with
        few records often has no second batch. Each topic-partition has its own turn, every `LOOK_SECONDS`; in between,
        the last marks are returned. A failure to read marks doesn't fail the batch.
        """
        now = self._clock()
        due = {
            at: offsets
            for at, offsets in covered.items()
            if (at in state.marks or is_claimed(state, at)) and now - self._read_marks.get(at, -inf) >= LOOK_SECONDS
        }
        ledger = self._connections.ledger
        if not due or ledger is None:
            return self._later
        try:
            return self._read_later(ledger, due, known, deadline.within(SECONDS), now)
        except (BatchError, KafkaException) as error:
            _log.warning("later marks can't be read now: %s", error)
        return self._later

    def _read_later(self, ledger: Ledger, covered: Offsets, known: Known, deadline: Deadline, now: float) -> Later:
        """Read later marks, which are kept for the next batches as well, and those that only this batch may carry."""
        self._read_marks |= dict.fromkeys(covered, now)
        self._later = {key: mark for key, mark in self._later.items() if key[1] not in covered}
        # Read again, because other deliveries may have claimed more and moved the marks.
        state, originals = ledger.read(deadline), self._connections.originals
        moved = marks.advanced(state, covered, known, originals, deadline)
        self._later |= {(state.generation, at): mark for at, mark in moved.items()}
        left = {at: offsets for at, offsets in covered.items() if at not in moved}
        begun = marks.late_beginnings(state, left, known, originals, deadline)
        return {**self._later, **{(state.generation, at): mark for at, mark in begun.items()}}

    def after_batch(self, offsets: Offsets, state: State | None, metrics: Metrics, deadline: Deadline) -> None:
        """Write the status of the batch's topic-partitions, keep the ledger short, measure lag, and settle gaps."""
        deadline = deadline.within(SECONDS)
        statuses = [
            Status(connector=self._connector, state="running", topic=topic, partition=number, offset=intervals[-1][1])
            for (topic, number), intervals in offsets.items()
        ]
        self._connections.status.write([Status(connector=self._connector, state="running"), *statuses], deadline)
        if state is not None and self._connections.ledger is not None:
            try:
                self._connections.ledger.maintain(deadline)
            except LedgerError as error:
                # The batch is written nevertheless; the next batch needs the ledger and fails with this error.
                _log.error("the ledger's log can't be kept short: %s", error)
            try:
                self._look_at_source(offsets, state, metrics, deadline)
            except (BatchError, KafkaException) as error:
                self._skips_gaps_until = self._clock() + LOOK_SECONDS
                _log.warning("the source topic can't be read for lag and gaps now: %s", error)

    def after_failure(self, error: BatchError, deadline: Deadline) -> None:
        """Write into the status topic that a batch failed, and why; messages have no payload."""
        text = f"{type(error).__name__}: {error}"
        failing = Status(connector=self._connector, state="failing", error=text)
        self._connections.status.write([failing], deadline.within(SECONDS))

    def _look_at_source(self, offsets: Offsets, state: State, metrics: Metrics, deadline: Deadline) -> None:
        """Measure the lag of the batch's topic-partitions, and settle gaps without records."""
        now = self._clock()
        if self._measured is None or now - self._measured >= LOOK_SECONDS:
            self._measured = now
            with source_topics.open_consumer(self._connections.configuration) as client:
                ends = log_bounds.ends(client, offsets, deadline)
            _measure_lag({place: ends[place] - 1 - numbers[-1][1] for place, numbers in offsets.items()}, metrics)
        if self._gaps is not None and now >= self._skips_gaps_until:
            settled = self._gaps.settle(state, deadline)
            if settled:
                _log.info("gaps without records are settled", extra={"gaps": settled})
            else:
                self._skips_gaps_until = now + GAP_PAUSE_SECONDS

    def _limits(self, places: Iterable[TopicPartition], deadline: Deadline) -> Limits:
        """Return each log's present start and the offset that the stream's group has committed, if it has."""
        with source_topics.open_consumer(self._connections.configuration) as client:
            committed = log_bounds.committed(client, list(places), deadline)
            starts = log_bounds.starts(client, committed, deadline)
        return {place: (starts[place], offset) for place, offset in committed.items()}


def _measure_lag(behind: Mapping[TopicPartition, int], metrics: Metrics) -> None:
    """Measure how many records come after a batch; a log that ends before the batch's records has no lag."""
    missing = {place: -number for place, number in behind.items() if number < 0}
    if not missing:
        metrics.gauge("lag", sum(behind.values()))
        return
    metrics.gauge("beyond_the_log", sum(missing.values()))
    names = [f"{topic}-{number}" for topic, number in missing]
    _log.error("logs of the source topic end before records of this batch", extra={"topic_partitions": names})
