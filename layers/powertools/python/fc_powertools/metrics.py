"""Metrics of one invocation, written as one log line, so that the log service can chart them without an agent.

    {"time": "...", "level": "INFO", "logger": "fc_powertools.metrics", "message": "metrics", "request_id": "...",
     "metrics": {"namespace": "kafka_maxcompute",
                 "dimensions": {"connector": "orders"},
                 "counters": {"records": 10000},
                 "gauges": {"partition_values": 2},
                 "timings": {"upload": {"count": 2, "sum": 812.4, "min": 301.1, "max": 511.3}},
                 "units": {"records": "Count", "partition_values": "Count", "upload": "Milliseconds"}}}

In the log service, index `metrics` as JSON and ask, for example:

    * and message: metrics | select sum("metrics.counters.records") group by date_trunc('minute', __time__)

A name has one kind and one unit. Any thread may add to the metrics of its invocation.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COUNT, BYTES, MILLISECONDS = "Count", "Bytes", "Milliseconds"

_log = logging.getLogger(__name__)
# Metrics are written at every level of the messages.
_log.setLevel(logging.INFO)


@dataclass(slots=True)
class Timing:
    """Durations of one name, in milliseconds."""

    count: int
    sum: float
    min: float
    max: float


class Metrics:
    """The counts and measurements of one invocation, until `flush` writes them."""

    def __init__(self, namespace: str, dimensions: Mapping[str, str] | None = None) -> None:
        self.namespace = namespace
        self._dimensions = dict(dimensions or {})
        self._lock = threading.Lock()
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._timings: dict[str, Timing] = {}
        self._units: dict[str, str] = {}

    def dimension(self, name: str, value: str) -> None:
        """Set a dimension that distinguishes the metrics of this invocation."""
        with self._lock:
            self._dimensions[name] = value

    def count(self, name: str, value: float = 1, unit: str = COUNT) -> None:
        """Add to a counter."""
        with self._lock:
            self._claim(self._counters, name, unit)
            self._counters[name] = self._counters.get(name, 0) + value

    def gauge(self, name: str, value: float, unit: str = COUNT) -> None:
        """Set a gauge; the last value stays."""
        with self._lock:
            self._claim(self._gauges, name, unit)
            self._gauges[name] = value

    def duration(self, name: str, milliseconds: float) -> None:
        """Add one duration to a timing."""
        with self._lock:
            self._claim(self._timings, name, MILLISECONDS)
            timing = self._timings.get(name)
            if timing is None:
                self._timings[name] = Timing(1, milliseconds, milliseconds, milliseconds)
            else:
                timing.count += 1
                timing.sum += milliseconds
                timing.min = min(timing.min, milliseconds)
                timing.max = max(timing.max, milliseconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a block, even if it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.duration(name, (time.perf_counter() - start) * 1_000)

    def snapshot(self) -> dict[str, object]:
        """Return the content of the log line; kinds without metrics are left out."""
        with self._lock:
            kinds: dict[str, object] = {
                "dimensions": dict(self._dimensions),
                "counters": dict(self._counters),
                "gauges": dict(self._gauges),
                "timings": {
                    name: {field: round(value, 3) for field, value in asdict(timing).items()}
                    for name, timing in self._timings.items()
                },
                "units": dict(self._units),
            }
        return {"namespace": self.namespace} | {kind: values for kind, values in kinds.items() if values}

    def flush(self) -> None:
        """Write the log line and start again with the same dimensions; without any metric nothing is written."""
        line = self.snapshot()
        with self._lock:
            written = bool(self._units)
            for kind in (self._counters, self._gauges, self._timings, self._units):
                kind.clear()
        if written:
            _log.info("metrics", extra={"metrics": line})

    def _claim(self, kind: Mapping[str, object], name: str, unit: str) -> None:
        """Register a name; raises ValueError if it has another kind or unit already."""
        first_unit = self._units.setdefault(name, unit)
        if first_unit != unit or (name not in kind and any(name in other for other in self._kinds())):
            raise ValueError(f"metric {name!r} is in use with another kind or unit ({first_unit}); use another name")

    def _kinds(self) -> tuple[Mapping[str, object], ...]:
        return self._counters, self._gauges, self._timings
