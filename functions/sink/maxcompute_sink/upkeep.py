"""What an instance does now and then when a batch is written: the ledger's upkeep, lag, and the status topic.

Nothing depends on it, so nothing fails for want of it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from kafka_maxcompute import log_bounds
from kafka_maxcompute.errors import BatchError, LedgerError
from kafka_maxcompute.ledger import source_topics
from kafka_maxcompute.ledger.gaps import MANY, prove_gaps
from kafka_maxcompute.status_topic import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.connections import Connections

SECONDS = 5.0
"""How long a batch that is written may keep its reply back for this."""
LOOK_SECONDS = 30.0
"""How often the brokers are asked for the ends of the source topic's logs."""
PRESSING = 1_000
"""Gaps of one topic-partition that don't wait for that: a batch from a compacted topic can have ten thousand, and a
ledger with thirty thousand is too large for a snapshot."""

_log = logging.getLogger(__name__)


class Upkeep:
    """The upkeep of one connector by one instance."""

    def __init__(self, connector: str, connections: Connections, clock: Callable[[], float] = time.monotonic) -> None:
        self._connector = connector
        self._connections = connections
        self._clock = clock
        self._looked: float | None = None
        self._settling = True

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
            waited = LOOK_SECONDS if self._looked is None else self._clock() - self._looked
            presses = self._settling and any(len(found) > PRESSING for found in state.settled.values())
            if waited >= LOOK_SECONDS or presses:
                self._looked = self._clock()
                self._look(offsets, state, metrics, deadline)

    def after_failure(self, error: BatchError, deadline: Deadline) -> None:
        """Tell that a batch failed, and why: messages hold no payload."""
        text = f"{type(error).__name__}: {error}"
        failing = Status(connector=self._connector, state="failing", error=text)
        self._connections.status.write([failing], deadline.within(SECONDS))

    def _look(self, offsets: Offsets, state: State, metrics: Metrics, deadline: Deadline) -> None:
        """Measure how far behind the batch's topic-partitions are, and settle offsets at which there is no record."""
        many = {place: found for place, found in state.settled.items() if len(found) > MANY}
        try:
            with source_topics.asking(self._connections.configuration) as client:
                ends = log_bounds.ends(client, offsets, deadline)
            lag = sum(max(0, ends[place] - 1 - intervals[-1][1]) for place, intervals in offsets.items())
            metrics.gauge("lag", lag)
            if many:
                self._settle_gaps(state, many, deadline)
        except (BatchError, KafkaException) as error:
            _log.warning("the source topic isn't looked at now: %s", error)

    def _settle_gaps(self, state: State, many: Iterable[TopicPartition], deadline: Deadline) -> None:
        """Settle the offsets of old gaps at which the source topic has no record."""
        # Gaps that hold records stay, and to look at them again after each batch would cost each a while.
        self._settling = False
        empty = prove_gaps(state, self._connections.originals, lambda: self._starts(many, deadline), deadline)
        if empty is not None and self._connections.ledger is not None:
            self._connections.ledger.append(empty, deadline)
            self._settling = True
            _log.info("offsets without records are settled", extra={"topic_partitions": len(empty.offsets)})

    def _starts(self, places: Iterable[TopicPartition], deadline: Deadline) -> dict[TopicPartition, int]:
        """Where the logs of topic-partitions begin now."""
        with source_topics.asking(self._connections.configuration) as client:
            return log_bounds.starts(client, places, deadline)
