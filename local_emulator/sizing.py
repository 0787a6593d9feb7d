"""Estimates what a connector needs at a rate of records, and what it costs in a month.

The result is arithmetic on three kinds of inputs: the services' limits (docs/SIZING.md has their sources), list prices
of a date, and the time of an invocation, which differs between accounts and has to be measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_BATCH_RECORDS = 10_000
MOST_BATCH_BYTES = 32 * 1024 * 1024
ENVELOPE_BYTES = 450
"""Bytes of a CloudEvent around the key and the value, as the stream delivers it."""
SESSIONS_A_SECOND = 500 / 300
"""Upload sessions that MaxCompute lets clients create for one table."""
SESSIONS_USED = 0.8
"""The share of these sessions to plan with: a batch of two partition values needs two, and retries need some."""
_MOST_BATCHES = SESSIONS_USED * SESSIONS_A_SECOND
LONGEST_INVOCATION = 300.0
CONCURRENCIES = (1, 2, 3, 6, 12)
BILLED_EVENT_BYTES = 64 * 1024
CAPACITY_EVENTS, CAPACITY_BYTES = 5_000, 50 * 1000 * 1000
"""What one capacity unit of an event stream delivers in a second, at most."""
MONTH_DAYS = 30
_DAY = 86_400
_GB = 1000**3


class SizingError(ValueError):
    """An input that can't be; the message has the expected range."""


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in US dollars, of the Chinese mainland's regions, as the services' pages had them on `PRICES_OF`.

    `compute_unit` is for the first 100 million compute units of a month; larger uses cost less. `log_gb` is the price
    of a raw gigabyte with its index, from the log service's own example. Compressed rows need a fifth of their bytes.
    """

    compute_unit: float = 0.000020
    compute_units_vcpu_second: float = 1.0
    compute_units_gb_second: float = 0.15
    compute_units_invocation: float = 0.0075
    stream_million_events: float = 0.41
    stream_capacity_hour: float = 0.034
    log_gb: float = 0.117
    storage_gb_day: float = 0.0006
    storage_compression: float = 5.0


PRICES_OF = "2026-03"
"""The month of the newest page that `Prices` is from."""


@dataclass(frozen=True, slots=True)
class Load:
    """What arrives, and how it is delivered.

    Fields:
        records: records a second, of the whole topic.
        record_bytes: bytes of a record's key and value together, on average.
        topic_partitions: of the source topic; more consumers than these would be idle.
        window: seconds until the stream delivers a batch that isn't full.
        batch_seconds: seconds of an invocation, besides those for each record. The default is an assumption: take the
            difference between an invocation's duration and its records' share from the function's own metrics.
        record_microseconds: of one vCPU for each record.
        log_bytes: what an invocation writes into the log store.
        kept_days: how long the table keeps rows.
    """

    records: float
    record_bytes: int = 500
    topic_partitions: int = 12
    window: float = 10.0
    batch_seconds: float = 4.0
    record_microseconds: float = 20.0
    log_bytes: int = 2_500
    kept_days: int = 90
    memory_gb: float = 1.0
    vcpus: float = 1.0


@dataclass(frozen=True, slots=True)
class Sizing:
    """Settings and figures for a load. Costs are dollars a month; `storage` is for the rows of `kept_days` days.

    `tables` is 1 if one connector can do it. Otherwise the topic has to be divided among so many topics, each with a
    connector and a table, because of the sessions or because of the concurrency; all figures are for all of them.
    """

    tables: int
    concurrency: int
    batch_records: int
    batch_bytes: int
    batches_a_second: float
    seconds: float
    sessions: float
    instances: int
    function: float
    stream: float
    stream_by_capacity: float
    log: float
    storage: float

    @property
    def total(self) -> float:
        """The costs together, with the cheaper way to pay for the stream."""
        return self.function + min(self.stream, self.stream_by_capacity) + self.log + self.storage


def size(load: Load, prices: Prices | None = None) -> Sizing:
    """Return the sizing; SizingError names the input that can't be."""
    _check(load)
    tables = max(1, math.floor(load.records / (MOST_BATCH_RECORDS * _MOST_BATCHES)))
    while (concurrency := _concurrency(load, tables)) is None:
        tables += 1
    return _sizing(load, prices or Prices(), tables, concurrency)


def batch_records(load: Load, concurrency: int, tables: int) -> int:
    """Return the records of a batch: what a consumer gets within the window, bounded by the service's limits.

    A consumer waits for its earlier batch, so a window that is shorter than an invocation has no effect.
    """
    consumers = min(concurrency, load.topic_partitions)
    arriving = load.records / tables / consumers * max(load.window, load.batch_seconds)
    return max(1, min(_full_batch(load), math.floor(arriving)))


def _full_batch(load: Load) -> int:
    return min(MOST_BATCH_RECORDS, MOST_BATCH_BYTES // (load.record_bytes + ENVELOPE_BYTES))


def _concurrency(load: Load, tables: int) -> int | None:
    """Return the smallest concurrency with which full batches would take twice the rate; None if there is none."""
    full = _full_batch(load)
    arriving = load.records / tables
    for concurrency in CONCURRENCIES:
        capacity = min(concurrency, load.topic_partitions) * full / _seconds(load, full)
        batches = arriving / batch_records(load, concurrency, tables)
        if arriving <= capacity / 2 and batches <= _MOST_BATCHES:
            return concurrency
    return None


def _seconds(load: Load, batch: int) -> float:
    return load.batch_seconds + batch * load.record_microseconds / 1e6 / min(load.vcpus, 1)


def _sizing(load: Load, prices: Prices, tables: int, concurrency: int) -> Sizing:
    batch = batch_records(load, concurrency, tables)
    batches, seconds = load.records / batch, _seconds(load, batch)
    units = (
        seconds * (load.vcpus * prices.compute_units_vcpu_second + load.memory_gb * prices.compute_units_gb_second)
        + prices.compute_units_invocation
    )
    month = MONTH_DAYS * _DAY
    events = load.records * math.ceil((load.record_bytes + ENVELOPE_BYTES) / BILLED_EVENT_BYTES)
    arriving = load.records / tables
    capacity = tables * math.ceil(max(arriving / CAPACITY_EVENTS, arriving * load.record_bytes / CAPACITY_BYTES))
    stored = load.records * load.record_bytes * _DAY * load.kept_days / prices.storage_compression / _GB
    return Sizing(
        tables=tables,
        concurrency=concurrency,
        batch_records=batch,
        batch_bytes=batch * (load.record_bytes + ENVELOPE_BYTES),
        batches_a_second=batches,
        seconds=seconds,
        sessions=batches / tables / SESSIONS_A_SECOND,
        instances=math.ceil(batches * seconds),
        function=batches * month * units * prices.compute_unit,
        stream=events * month / 1e6 * prices.stream_million_events,
        stream_by_capacity=capacity * MONTH_DAYS * 24 * prices.stream_capacity_hour,
        log=batches * month * load.log_bytes / _GB * prices.log_gb,
        storage=stored * MONTH_DAYS * prices.storage_gb_day,
    )


def _check(load: Load) -> None:
    bounds = {
        "records": (0.01, 1e7),
        "record_bytes": (1, MOST_BATCH_BYTES - ENVELOPE_BYTES),
        "topic_partitions": (1, 10_000),
        "window": (0.1, 15),
        "batch_seconds": (0, LONGEST_INVOCATION / 2),
        "record_microseconds": (0.1, 10_000),
        "log_bytes": (0, 10_000_000),
        "kept_days": (0, 36_500),
        "memory_gb": (0.125, 32),
        "vcpus": (0.05, 16),
    }
    for name, (least, most) in bounds.items():
        value = getattr(load, name)
        if not least <= value <= most:
            raise SizingError(f"{name.replace('_', ' ')}: expected {least:g} to {most:g}, found {value:g}")
    if max(load.window, load.batch_seconds) * _MOST_BATCHES < 1 < load.records:
        raise SizingError(
            f"window: expected at least {1 / _MOST_BATCHES:g} s, because a table takes {_MOST_BATCHES * 300:.0f} "
            f"upload sessions in 5 minutes, found {load.window:g}"
        )
