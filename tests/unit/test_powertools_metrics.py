"""Metrics of an invocation are written as one line, from any thread, and never under two meanings."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import metrics as metrics_module
from fc_powertools.metrics import BYTES, Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.quick


class Kept(logging.Handler):
    """Keeps the metrics of each line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert record.getMessage() == "metrics"
        self.lines.append(vars(record)["metrics"])


@pytest.fixture
def written() -> Iterator[list[dict[str, Any]]]:
    handler, log = Kept(), logging.getLogger(metrics_module.__name__)
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


def test_flush_writes_everything_once(written: list[dict[str, Any]]) -> None:
    metrics = Metrics("sink", {"connector": "orders"})
    metrics.dimension("topic", "t")
    metrics.count("records", 3)
    metrics.count("records")
    metrics.count("bytes", 700, BYTES)
    metrics.gauge("lag", 9)
    metrics.gauge("lag", 7)
    metrics.duration("upload", 20.25)
    metrics.duration("upload", 10.5)
    metrics.flush()
    metrics.flush()
    assert written == [
        {
            "namespace": "sink",
            "dimensions": {"connector": "orders", "topic": "t"},
            "counters": {"records": 4, "bytes": 700},
            "gauges": {"lag": 7},
            "timings": {"upload": {"count": 2, "sum": 30.75, "min": 10.5, "max": 20.25}},
            "units": {"records": "Count", "bytes": "Bytes", "lag": "Count", "upload": "Milliseconds"},
        }
    ]


def test_dimensions_outlive_a_flush_and_values_dont(written: list[dict[str, Any]]) -> None:
    metrics = Metrics("sink", {"connector": "orders"})
    metrics.count("records", 5)
    metrics.flush()
    metrics.count("records", 1)
    metrics.flush()
    assert [line["counters"] for line in written] == [{"records": 5}, {"records": 1}]
    assert [line["dimensions"] for line in written] == [{"connector": "orders"}] * 2


def test_metrics_are_written_whatever_the_level_of_messages(written: list[dict[str, Any]]) -> None:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        metrics = Metrics("sink")
        metrics.count("records")
        metrics.flush()
    finally:
        root.setLevel(level)
    assert written == [{"namespace": "sink", "counters": {"records": 1}, "units": {"records": "Count"}}]


def test_a_block_is_timed_also_when_it_fails() -> None:
    metrics = Metrics("sink")
    with metrics.timed("upload"):
        pass
    with pytest.raises(RuntimeError), metrics.timed("upload"):
        raise RuntimeError
    timings = metrics.snapshot()["timings"]
    assert isinstance(timings, dict)
    assert timings["upload"]["count"] == 2
    assert 0 <= timings["upload"]["min"] <= timings["upload"]["max"] <= timings["upload"]["sum"]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda metrics: metrics.gauge("records", 1),
        lambda metrics: metrics.duration("records", 1),
        lambda metrics: metrics.count("records", 1, BYTES),
    ],
    ids=["as gauge", "as timing", "other unit"],
)
def test_a_name_has_one_kind_and_one_unit(misuse: Callable[[Metrics], None]) -> None:
    metrics = Metrics("sink")
    metrics.count("records", 1)
    with pytest.raises(ValueError, match="metric 'records' is in use with another kind or unit"):
        misuse(metrics)
    assert metrics.snapshot()["counters"] == {"records": 1}


def test_threads_lose_no_count() -> None:
    metrics = Metrics("sink")

    def add() -> None:
        for _ in range(2_000):
            metrics.count("records")
            metrics.duration("wait", 1.0)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    snapshot = metrics.snapshot()
    assert snapshot["counters"] == {"records": 8_000}
    assert snapshot["timings"] == {"wait": {"count": 8_000, "sum": 8_000.0, "min": 1.0, "max": 1.0}}
