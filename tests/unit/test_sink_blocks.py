"""blocks: a whole batch becomes one block a partition value, or nothing at all."""

from __future__ import annotations

import io
import json
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from kafka_maxcompute.errors import MalformedBatchError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import expected
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink import blocks as blocks_module
from maxcompute_sink.blocks import Blocks, Coverage, Preparation
from tests.kafka_events import HOUR_14, element, payload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    import pyarrow as pa

pytestmark = pytest.mark.quick

NOW = HOUR_14 + 1_000
PLACES = [("orders", 0), ("orders", 1)]
HOUR = 3_600_000
COLUMNS = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)


def settings_with(**settings: object) -> Settings:
    needed = {
        "name": "c",
        "source_topic": "orders",
        "delivery": "at-least-once",
        "endpoint": "http://127.0.0.1/api",
        "project": "p",
        "table": "t",
        "compression": "none",
    }
    return Settings.from_mapping(needed | settings)


def prepare(batch: bytes, **settings: object) -> Blocks:
    complete = settings_with(**settings)
    preparation = Preparation(complete, expected(complete))
    return preparation.blocks(preparation.decode(batch), now=NOW)


def rows(found: Blocks) -> dict[str, list[tuple[Any, ...]]]:
    tables = {
        block.partition_value: TunnelArrowReader(COLUMNS, lambda _, body=block.body: io.BytesIO(body)).read()
        for block in found.blocks
    }
    return {value: [tuple(row.values()) for row in table.to_pylist()] for value, table in tables.items()}


def test_rows_by_partition_value_and_offsets_by_topic_partition() -> None:
    batch = payload(
        element(5, timestamp=HOUR_14),
        element(6, timestamp=HOUR_14 - HOUR),
        element(2, timestamp=HOUR_14, partition=1, key=None, value=None),
        element(9, timestamp=str(HOUR_14)),
    )
    found = prepare(batch)
    assert rows(found) == {
        "11-17-2020 13": [("orders", 0, 6, "k6", "v6")],
        "11-17-2020 14": [("orders", 0, 5, "k5", "v5"), ("orders", 1, 2, None, None), ("orders", 0, 9, "k9", "v9")],
    }
    assert [(block.partition_value, block.records) for block in found.blocks] == [
        ("11-17-2020 13", 1),
        ("11-17-2020 14", 3),
    ]
    assert found.records == 4
    assert [block.coverage for block in found.blocks] == [
        Coverage({("orders", 0): ((6, 6),)}, {("orders", 0): HOUR_14 - HOUR}),
        Coverage({("orders", 0): ((5, 5), (9, 9)), ("orders", 1): ((2, 2),)}, dict.fromkeys(PLACES, HOUR_14)),
    ]


@pytest.mark.parametrize("slice_bytes", [1, 2_000, 10**9])
def test_slices_of_any_size_make_the_same_rows(monkeypatch: pytest.MonkeyPatch, slice_bytes: int) -> None:
    monkeypatch.setattr(blocks_module, "SLICE_BYTES", slice_bytes)
    found = prepare(payload(*map(element, range(50))))
    assert rows(found) == {"11-17-2020 14": [("orders", 0, n, f"k{n}", f"v{n}") for n in range(50)]}


def test_slices_have_about_as_many_bytes_of_the_payload_as_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def body(batches: Iterable[pa.RecordBatch], _: str) -> bytes:
        sizes.extend(batch.num_rows for batch in batches)
        return b""

    monkeypatch.setattr(blocks_module, "block_body", body)
    batch = payload(*map(element, range(9)))
    for slice_bytes, expected_sizes in ((1, [1] * 9), (len(batch) // 2, [4, 4, 1]), (len(batch), [9])):
        sizes.clear()
        monkeypatch.setattr(blocks_module, "SLICE_BYTES", slice_bytes)
        prepare(batch)
        assert sizes == expected_sizes


def test_a_block_knows_its_columns_and_its_records_and_takes_the_coverage_that_is_known() -> None:
    settings = settings_with()
    preparation = Preparation(settings, list(expected(settings)))
    decoded = preparation.decode(payload(element(1), element(2)))
    known = Coverage.of(decoded.records)
    (block,) = preparation.blocks(decoded, now=NOW, coverage=known).blocks
    assert block.coverage is known
    assert (block.columns, block.source) == (expected(settings), decoded.records)
    decoded = preparation.decode(payload(element(1), element(2, timestamp=HOUR_14 - HOUR)))
    known = Coverage.of(decoded.records)
    found = preparation.blocks(decoded, now=NOW, coverage=known).blocks
    assert [block.coverage.offsets for block in found] == [{PLACES[0]: ((2, 2),)}, {PLACES[0]: ((1, 1),)}]


def test_coverages_are_joined_by_topic_partition() -> None:
    one = Coverage({PLACES[0]: ((1, 2),), PLACES[1]: ((5, 5),)}, {PLACES[0]: 7, PLACES[1]: 8})
    other = Coverage({PLACES[0]: ((3, 3), (9, 9)), ("orders", 2): ((1, 1),)}, {PLACES[0]: 6, ("orders", 2): 9})
    joined = {PLACES[0]: ((1, 3), (9, 9)), PLACES[1]: ((5, 5),), ("orders", 2): ((1, 1),)}
    for both in (one.joined(other), other.joined(one)):
        assert both == Coverage(joined, {PLACES[0]: 7, PLACES[1]: 8, ("orders", 2): 9})


def test_the_highest_time_is_that_of_the_records_that_have_one() -> None:
    batch = payload(element(1, timestamp=5), element(2, timestamp=None), element(3, timestamp=4))
    records = Preparation(settings_with(), expected(settings_with())).decode(batch).records
    assert Coverage.of(records) == Coverage({PLACES[0]: ((1, 3),)}, {PLACES[0]: 5})
    assert Coverage.of(records[1:2]) == Coverage({PLACES[0]: ((2, 2),)}, {})


@pytest.mark.parametrize(("value_type", "escape_is_text"), [("Text", True), ("Json", False)])
def test_a_text_that_may_have_been_other_bytes_is_seen_in_any_slice(
    monkeypatch: pytest.MonkeyPatch, value_type: str, *, escape_is_text: bool
) -> None:
    monkeypatch.setattr(blocks_module, "SLICE_BYTES", 1)
    plain, sign, written = element(1), element(2, value="\ufffd"), element(3, value="\\ufffd")
    for batch, is_seen in (([plain], False), ([plain, sign, plain], True), ([plain, written], not escape_is_text)):
        assert prepare(payload(*batch), value_type=value_type).replaced == is_seen
    escaped = payload(plain, element(2, value="SIGN")).replace(b"SIGN", b"\\ufffd")
    assert prepare(escaped, value_type=value_type).replaced


def test_local_times_are_told_in_the_given_zone() -> None:
    (block,) = csv("2020-11-17 14:20:00", column="DATETIME", zone=timezone(timedelta(hours=8))).blocks
    schema = TableSchema.from_lists(["topic", "partition", "offset", "a"], ["string", "bigint", "bigint", "datetime"])
    read = TunnelArrowReader(schema, lambda _: io.BytesIO(block.body)).read()
    assert read["a"].cast("int64").to_pylist() == [HOUR_14]


def test_an_empty_batch_has_no_blocks() -> None:
    assert prepare(b"[]") == Blocks((), ())


def test_records_from_too_far_in_the_future_are_rejected_by_the_given_present() -> None:
    assert prepare(payload(element(1, timestamp=NOW + 60_000)), latest_timestamp=60).records == 1
    found = prepare(payload(element(1, timestamp=NOW + 60_001)), latest_timestamp=60)
    assert (found.blocks, len(found.rejected)) == ((), 1)


def test_what_cannot_be_written_is_named_and_the_rest_becomes_rows() -> None:
    batch = payload(
        element(1),
        element(2, value={"secret": "payload"}),
        element(3, timestamp=-1),
        json.dumps(element(4, offset="x")),
        element(5, value="ok"),
    )
    found = prepare(batch)
    assert [(one.error.where, one.error.path, one.place, one.offset, one.after) for one in found.rejected] == [
        ("orders-0-2", "$.data.value", ("orders", 0), 2, 1),
        ("element 3", "$.data.offset", None, None, 2),
        ("orders-0-3", "$.data.timestamp", ("orders", 0), 3, 0),
    ]
    assert rows(found) == {"11-17-2020 14": [("orders", 0, 1, "k1", "v1"), ("orders", 0, 5, "k5", "ok")]}
    assert found.blocks[0].coverage.offsets == {("orders", 0): ((1, 1), (5, 5))}


def csv(*lines: str, column: str = "STRING", zone: tzinfo = timezone.utc) -> Blocks:
    settings = settings_with(format="CSV", mode="VALUE")
    preparation = Preparation(settings, (*expected(settings), Column("a", column)), zone)
    batch = payload(*(element(n, value=line) for n, line in enumerate(lines)))
    return preparation.blocks(preparation.decode(batch), now=NOW)


def test_faults_in_later_slices_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "SLICE_BYTES", 1)
    found = csv("a,b", "a", "a,b", "a", "a,b", "a")
    assert [one.error.where for one in found.rejected] == ["orders-0-0", "orders-0-2", "orders-0-4"]
    (block,) = found.blocks
    assert (block.records, block.coverage.offsets) == (3, {("orders", 0): ((1, 1), (3, 3), (5, 5))})
    schema = TableSchema.from_lists(["topic", "partition", "offset", "a"], ["string", "bigint", "bigint", "string"])
    read = TunnelArrowReader(schema, lambda _: io.BytesIO(block.body)).read()
    assert [row["offset"] for row in read.to_pylist()] == [1, 3, 5]


def test_a_partition_value_without_a_good_record_has_no_block() -> None:
    assert csv("a,b").blocks == ()


def test_no_batch_no_blocks() -> None:
    with pytest.raises(MalformedBatchError):
        prepare(b"nonsense")
