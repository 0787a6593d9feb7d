"""What an instance does once a batch is written can't make a failure of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pytest

from fc_powertools import Metrics
from kafka_maxcompute.brokers.originals import MemoryOriginals
from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.ledger import LogLedger
from maxcompute_sink import upkeep
from maxcompute_sink.connections import Connections
from maxcompute_sink.upkeep import Upkeep
from tests.deadlines import soon
from tests.kafka_events import element, payload
from tests.sink_delivery import ORDERS, Connector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_maxcompute.brokers.status_topic import Status, StatusTopic

pytestmark = pytest.mark.quick


class Told:
    """A status topic that keeps what is written."""

    def __init__(self) -> None:
        self.statuses: list[Status] = []

    def write(self, statuses: Iterable[Status], *_: object) -> None:
        self.statuses += statuses


def test_a_ledger_that_breaks_after_the_batch_fails_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    connector, told = Connector(), Told()
    ledger = LogLedger(connector.log, snapshot_every=1)
    line = connector.line(ledger=ledger)
    done = connector.deliver(payload(element(1)), line)
    connector.log.append(b"stranger", b"no operation", soon())
    # Nobody listens there, so librdkafka finds no brokers; that's no failure of the batch either.
    nobody: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "error_cb": lambda _: None}
    status = cast("StatusTopic", told)
    connections = Connections(nobody, connector.letters, MemoryOriginals(), status, ledger, lambda: None)
    with caplog.at_level(logging.WARNING):
        Upkeep("c", connections).after_batch({ORDERS: ((1, 1),)}, done.state, Metrics("test"), soon().within(0.2))
    assert [status.offset for status in told.statuses] == [None, 1]
    assert "something else writes to the offset topic" in caplog.text
    with pytest.raises(LedgerError):
        connector.deliver(payload(element(2)), line)


def test_a_log_that_ends_before_the_batch_has_no_lag(caplog: pytest.LogCaptureFixture) -> None:
    """0 would say that everything is done with."""
    metrics = Metrics("test")
    upkeep._measure_lag({ORDERS: 3, ("orders", 1): 0}, metrics)
    assert (metrics.snapshot()["gauges"], caplog.text) == ({"lag": 3}, "")
    metrics = Metrics("test")
    upkeep._measure_lag({ORDERS: 3, ("orders", 1): -2}, metrics)
    assert metrics.snapshot()["gauges"] == {"beyond_the_log": 2}
    assert "logs of the source topic end before records of this batch" in caplog.text
