"""What an instance does now and then around a batch: marks, the ledger's upkeep, lag, and the status topic.

Nothing depends on it, so nothing fails for want of it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.status_topic import Status
from kafka_maxcompute.errors import BatchError, LedgerError
from kafka_maxcompute.ledger import marks, source_topics
from kafka_maxcompute.ledger.gaps import Gaps
from kafka_maxcompute.ledger.state import has_id, is_claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.gaps import Limits
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.connections import Connections

SECONDS = 5.0
"""How long a batch that is written may keep its reply back for this."""
LOOK_SECONDS = 30.0
"""How often the brokers are asked for the ends of the source topic's logs, and later marks are read."""
IN_VAIN_SECONDS = 2.0
"""How long gaps are let be after a look that settled none: the group hasn't come past them, or they hold records."""

_log = logging.getLogger(__name__)


class Upkeep:
    """The upkeep of one connector by one instance."""

    def __init__(self, connector: str, connections: Connections, clock: Callable[[], float] = time.monotonic) -> None:
        self._connector = connector
        self._connections = connections
        self._clock = clock
        self._later: Later = {}
        self._read_marks: float | None = None
        self._measured: float | None = None
        ledger = connections.ledger
        self._gaps = None if ledger is None else Gaps(ledger, connections.originals, self._limits)
        self._let_be_until = float("-inf")

    def later_marks(self, state: State, covered: Offsets, known: Known, deadline: Deadline) -> Later:
        """Later marks for the claims of a batch, read now if that is due, and marks for what has none.

        They are read before the claim, so that the first batch of an instance brings its marks with it: an instance of
        a topic with few records often has no second one. Of topics whose id the ledger doesn't have, they are read for
        each batch, because marks vouch only for batches that tell them then: a failure to read them fails the batch.
        """
        now = self._clock()
        unsure = {at: found for at, found in covered.items() if not has_id(state, at)}
        try:
            if self._read_marks is None or now - self._read_marks >= LOOK_SECONDS:
                claimed = {at: found for at, found in covered.items() if at in state.marks or is_claimed(state, at)}
                if claimed and self._connections.ledger is not None:
                    self._read_marks, self._later = now, {}
                    # Read again, for others may have claimed more, and moved the marks.
                    state = self._connections.ledger.read(deadline.within(SECONDS))
                    return self._read_later(state, covered, known, deadline.within(SECONDS), is_due=True)
            return self._read_later(state, unsure, known, deadline.within(SECONDS), is_due=False)
        except (BatchError, KafkaException) as error:
            if unsure:
                raise
            _log.warning("no later marks are read now: %s", error)
        return self._later

    def _read_later(self, state: State, covered: Offsets, known: Known, deadline: Deadline, *, is_due: bool) -> Later:
        """Later marks; those of topics whose id the ledger has are kept for the next batches as well."""
        originals = self._connections.originals
        told = marks.advanced(state, covered, known, originals, deadline)
        self._later |= {(state.generation, at): mark for at, mark in told.items() if has_id(state, at)}
        told |= marks.confirmed(state, covered, known, originals, deadline)
        if is_due:
            left = {where: found for where, found in covered.items() if where not in told}
            told |= marks.late_beginnings(state, left, known, originals, deadline)
        return {**self._later, **{(state.generation, where): mark for where, mark in told.items()}}

    def after_batch(self, offsets: Offsets, state: State | None, metrics: Metrics, deadline: Deadline) -> None:
        """Tell the status of the batch's topic-partitions; keep the ledger short where there is one."""
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
                # The batch is written all the same; the next one, which needs the ledger, says it as its failure.
                _log.error("the ledger's log can't be kept short: %s", error)
            try:
                self._look(offsets, state, metrics, deadline)
            except (BatchError, KafkaException) as error:
                self._let_be_until = self._clock() + LOOK_SECONDS
                _log.warning("the source topic isn't looked at now: %s", error)

    def after_failure(self, error: BatchError, deadline: Deadline) -> None:
        """Tell that a batch failed, and why: messages hold no payload."""
        text = f"{type(error).__name__}: {error}"
        failing = Status(connector=self._connector, state="failing", error=text)
        self._connections.status.write([failing], deadline.within(SECONDS))

    def _look(self, offsets: Offsets, state: State, metrics: Metrics, deadline: Deadline) -> None:
        """Measure how far behind the batch's topic-partitions are, settle gaps without records."""
        now = self._clock()
        if self._measured is None or now - self._measured >= LOOK_SECONDS:
            self._measured = now
            with source_topics.open_consumer(self._connections.configuration) as client:
                ends = log_bounds.ends(client, offsets, deadline)
            _tell_lag({place: ends[place] - 1 - held[-1][1] for place, held in offsets.items()}, metrics)
        if self._gaps is not None and now >= self._let_be_until:
            settled = self._gaps.settle(state, deadline)
            if settled:
                _log.info("gaps without records are settled", extra={"gaps": settled})
            else:
                self._let_be_until = now + IN_VAIN_SECONDS

    def _limits(self, places: Iterable[TopicPartition], deadline: Deadline) -> Limits:
        """Where the logs begin now, and what the stream's group has committed, of those where it has."""
        asked = list(places)
        with source_topics.open_consumer(self._connections.configuration) as client:
            committed = log_bounds.committed(client, asked, deadline)
            starts = log_bounds.starts(client, committed, deadline)
        return {place: (starts[place], offset) for place, offset in committed.items()}


def _tell_lag(behind: Mapping[TopicPartition, int], metrics: Metrics) -> None:
    """Count the records that come after a batch; a log that doesn't reach to the batch's own records has no lag."""
    short = {place: -number for place, number in behind.items() if number < 0}
    if not short:
        metrics.gauge("lag", sum(behind.values()))
        return
    metrics.gauge("beyond_the_log", sum(short.values()))
    names = [f"{topic}-{number}" for topic, number in short]
    _log.error("logs of the source topic end before records of this batch", extra={"topic_partitions": names})
