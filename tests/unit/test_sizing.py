"""The estimate of settings and costs, checked with figures worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from local_emulator.__main__ import main
from local_emulator.sizing import CONCURRENCIES, SESSIONS_A_SECOND, Load, Prices, SizingError, size

pytestmark = pytest.mark.quick

MONTH = 30 * 86_400


def test_full_batches_cost_what_their_seconds_and_their_number_cost() -> None:
    """1,000 records a second in batches of 10,000 are one batch in 10 s, of 4 s and 10,000 times 20 microseconds."""
    sizing = size(Load(records=1_000))
    assert (sizing.tables, sizing.concurrency, sizing.batch_records, sizing.instances) == (1, 1, 10_000, 1)
    assert sizing.batches_a_second == pytest.approx(0.1)
    assert sizing.seconds == pytest.approx(4.2)
    assert sizing.function == pytest.approx(MONTH * 0.1 * (4.2 * 1.15 + 0.0075) * 0.00002)
    assert sizing.stream == pytest.approx(MONTH * 1_000 / 1e6 * 0.41)
    assert sizing.stream_by_capacity == pytest.approx(30 * 24 * 0.034)
    assert sizing.storage == pytest.approx(1_000 * 500 * 86_400 * 90 / 5 / 1e9 * 30 * 0.0006)
    assert sizing.total == pytest.approx(sizing.function + sizing.stream_by_capacity + sizing.log + sizing.storage)


def test_a_batch_is_bounded_by_the_window_and_by_32_mb() -> None:
    assert size(Load(records=5, window=10)).batch_records == 50
    assert size(Load(records=5_000, record_bytes=100_000)).batch_records == 32 * 1024 * 1024 // 100_450


def test_an_event_counts_once_for_each_64_kb() -> None:
    small, large = size(Load(records=1, record_bytes=65_000)), size(Load(records=1, record_bytes=65_537))
    assert large.stream == pytest.approx(2 * small.stream)


@pytest.mark.parametrize("records", [0.01, 3, 700, 1_666, 13_000, 14_000, 50_000, 1e6])
@pytest.mark.parametrize("window", [0.1, 1, 15])
def test_no_table_takes_more_sessions_than_it_has_and_no_connector_more_batches_than_it_can(
    records: float, window: float
) -> None:
    load = Load(records=records, window=window)
    sizing = size(load)
    assert sizing.concurrency in CONCURRENCIES
    assert sizing.batches_a_second / sizing.tables <= SESSIONS_A_SECOND
    full = 10_000 / (4 + 10_000 * 20e-6)  # records a second of a consumer whose batches are full
    assert records / sizing.tables * 2 <= sizing.concurrency * full
    assert sizing.batches_a_second * sizing.batch_records == pytest.approx(records)


def test_a_window_that_alone_takes_too_many_sessions_is_refused() -> None:
    with pytest.raises(
        SizingError, match=r"window: expected at least 0\.75 s, because a table takes 400 upload sessions"
    ):
        size(Load(records=2, window=0.5, batch_seconds=0.5))
    assert size(Load(records=1, window=0.5, batch_seconds=0.5)).batches_a_second == 1


def test_above_the_ceiling_of_a_table_there_are_more_tables() -> None:
    assert size(Load(records=13_000)).tables == 1
    assert size(Load(records=100_000)).tables == 8  # 1,667 batches in 5 minutes for 8 tables of 500, a fifth spare


@pytest.mark.parametrize(
    ("name", "value"),
    [("records", 0), ("records", float("nan")), ("record_bytes", 0), ("window", 16), ("batch_seconds", 151)],
)
def test_an_input_that_cannot_be_is_named(name: str, value: float) -> None:
    with pytest.raises(SizingError, match=f"{name.replace('_', ' ')}: expected .* found"):
        size(replace(Load(records=1), **{name: value}))  # type: ignore[arg-type] # a wrong value is the point


def test_the_command_prints_a_column_for_each_rate_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--records", "2500", "--records", "5"]) == 0
    table = capsys.readouterr().out
    assert "2,500/s" in table.splitlines()[1]
    assert "CONNECTOR_CONCURRENCY" in table
    assert main(["cost", "--records", "2500", "--price", "stream_capacity_hour=1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["prices"]["stream_capacity_hour"] == 1
    assert document["loads"][0]["needs"]["stream_by_capacity"] == 720


@pytest.mark.parametrize(
    "arguments", [["--price", "gold=1"], ["--price", "log_gb"], ["--price", "log_gb=-1"], ["--price", "log_gb=nan"]]
)
def test_a_price_that_cannot_be_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", *arguments]) == 1
    assert "error: --price: expected" in capsys.readouterr().err


def test_the_prices_are_positive() -> None:
    assert all(getattr(Prices(), name) > 0 for name in Prices.__dataclass_fields__)
