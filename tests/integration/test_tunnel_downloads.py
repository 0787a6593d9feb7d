"""Download sessions, previews and all types with unmodified PyODPS."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from odps import ODPS, errors, options
from odps.tunnel import CompressOption

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute import server
from local_emulator.maxcompute.tunnel.download_requests import DOWNLOADS
from local_emulator.maxcompute.tunnel.downloads import MOST_SESSIONS
from tests.maxcompute_sql import NANOSECOND_TYPES, NEEDS_DUCKDB_2
from tests.tunnel_clients import ask, client_of, make_table, rows_of, tunnel_of, values_of, write_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark.structures import ParameterSet
    from odps.models import Table

    from local_emulator.maxcompute.server import MaxComputeServer

NUMBERS = [[f"key {number}", number] for number in range(1000)]
# Each type with values at its edges; PyODPS gives datetimes in the machine's zone, to the millisecond.
TYPES: dict[str, list[Any]] = {
    "TINYINT": [-128, 127, 0],
    "SMALLINT": [-32768, 32767, 0],
    "INT": [-(1 << 31), (1 << 31) - 1, 0],
    "BIGINT": [-(1 << 63) + 1, (1 << 63) - 1, 0],
    "FLOAT": [1.5, -0.25, 2.0**127],
    "DOUBLE": [1.1, -1e308, 0.0],
    "BOOLEAN": [True, False, True],
    "STRING": ["", "中文 ✓", "a\tb\n'\"\\"],
    "VARCHAR(5)": ["", "中文", "abcde"],
    "CHAR(5)": ["a    ", "中文   ", "abcde"],
    "BINARY": [b"", b"\xff\x00\x80\xc0\xff\x7f", b"abc"],
    "DECIMAL(38,18)": [Decimal(0), Decimal("12345678901234567890.123456789012345678"), Decimal("-1.5")],
    "DECIMAL(5,2)": [Decimal("0.01"), Decimal("-999.99"), Decimal("1.00")],
    "DATE": [date(1, 1, 1), date(9999, 12, 31), date(1970, 1, 1)],
    "DATETIME": [*map(datetime.fromisoformat, ("1970-01-01 12:00:00", "2026-11-17 15:00:00.123000", "1930-05-06"))],
    "TIMESTAMP": [pd.Timestamp("2026-11-17 15:00:00.123456789"), pd.Timestamp("1950-01-01 00:00:00.000000001"), None],
    "TIMESTAMP_NTZ": [pd.Timestamp("2026-11-17 15:00:00.123456789"), pd.Timestamp("1950-01-01"), None],
    "ARRAY<BIGINT>": [[], [1, None, 3], [0]],
    "ARRAY<STRING>": [["中"], [None], []],
    "MAP<STRING,BIGINT>": [{}, {"a": 1, "中": None}, {"x": 0}],
}
# What PyODPS has no Arrow type for, or a record type only.
RECORDS_ONLY: dict[str, list[Any]] = {
    "JSON": [{"a": [1, "中"]}, [], None],
    "STRUCT<a:BIGINT,b:STRING>": [(1, "x"), (None, "中"), None],
    "ARRAY<MAP<STRING,ARRAY<INT>>>": [[{"a": [1, None]}, None], [], None],
    "ARRAY<DECIMAL(10,2)>": [[Decimal("1.50"), None], [], None],
    "ARRAY<DATE>": [[date(2026, 1, 1), None], [], None],
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as running:
        yield running


@pytest.fixture
def odps(emulator: MaxComputeServer) -> ODPS:
    return client_of(emulator)


@pytest.fixture(scope="module")
def numbers(emulator: MaxComputeServer) -> Table:
    odps = client_of(emulator)
    table = make_table(odps, "key STRING, number BIGINT", "pt STRING")
    odps.write_table(table.name, NUMBERS, partition="pt=a", create_partition=True)
    return table


def refusal(odps: ODPS, method: str, table: Table, query: dict[str, object]) -> tuple[int, str]:
    with pytest.raises(errors.ODPSError) as caught:
        ask(odps, method, table, query)
    return caught.value.status_code, caught.value.code


def cases(types: dict[str, list[Any]]) -> list[ParameterSet]:
    return [
        pytest.param(type_, found, marks=[NEEDS_DUCKDB_2] if type_ == "TIMESTAMP" else [])
        for type_, found in types.items()
    ]


@pytest.mark.parametrize(("type_", "values"), cases({**TYPES, **RECORDS_ONLY}))
def test_each_type_through_the_record_wire(odps: ODPS, type_: str, values: list[Any]) -> None:
    table = make_table(odps, f"id BIGINT, value {type_}")
    session = tunnel_of(odps).create_upload_session(table.name)
    rows = [[number, value] for number, value in enumerate([*values, None])]
    write_block(session, 0, rows)
    session.commit([0])
    found = rows_of(odps, table)
    if type_.startswith("DECIMAL"):
        assert [row[1] and Decimal(row[1]) for row in found] == [row[1] for row in rows]
    else:
        assert [[row[0], _plain(row[1])] for row in found] == rows


@pytest.mark.parametrize(("type_", "values"), cases(TYPES))
def test_each_type_through_the_arrow_wire(odps: ODPS, type_: str, values: list[Any]) -> None:
    table = make_table(odps, f"id BIGINT, value {type_}")
    session = tunnel_of(odps).create_upload_session(table.name)
    with session.open_arrow_writer(0) as writer:
        writer.write(_arrow([*values, None], type_))
    session.commit([0])
    download = tunnel_of(odps).create_download_session(table.name)
    with download.open_arrow_reader(0, 4) as reader:
        by_arrow = reader.read().column("value")
    assert by_arrow.null_count == [*values, None].count(None)
    records = [_plain(row[1]) for row in rows_of(odps, table)]
    if type_.startswith("TIMESTAMP") or type_ == "DATETIME":
        assert [value and pd.Timestamp(value) for value in records] == [
            None if value is None else pd.Timestamp(value) for value in [*values, None]
        ]
    else:
        assert records == [*values, None]


def _arrow(values: list[Any], type_: str) -> pa.RecordBatch:
    ids = pa.array(range(len(values)), pa.int64())
    if type_.startswith("MAP"):
        pairs = [None if value is None else list(value.items()) for value in values]
        found = pa.array(pairs, pa.map_(pa.string(), pa.int64()))
    elif type_.startswith("DECIMAL"):
        precision, scale = type_[8:-1].split(",")
        found = pa.array(values, pa.decimal128(int(precision), int(scale)))
    elif type_.startswith("TIMESTAMP"):
        found = pa.array([None if value is None else value.value for value in values]).cast(pa.timestamp("ns"))
    else:
        found = pa.array(values)
    return pa.RecordBatch.from_arrays([ids, found], names=["id", "value"])


def _plain(value: Any) -> Any:
    return tuple(value) if hasattr(value, "_fields") else value


def test_arrow_and_records_agree_on_ranges_and_columns(odps: ODPS, numbers: Table) -> None:
    session = tunnel_of(odps).create_download_session(numbers.name, partition_spec="pt='a'")
    assert session.count == 1000
    with session.open_record_reader(990, 10, append_partitions=False) as reader:
        assert values_of(reader) == NUMBERS[990:]
    with session.open_arrow_reader(10, 20, columns=["number", "key"]) as reader:
        assert reader.read().to_pylist() == [{"number": n, "key": k} for k, n in NUMBERS[10:30]]
    with session.open_record_reader(5, 2, columns=["number", "key"]) as reader:
        assert values_of(reader) == [[n, k] for k, n in NUMBERS[5:7]]
    with session.open_record_reader(0, 0) as reader:
        assert list(reader) == []


@pytest.mark.parametrize("partition", [None, "pt=a"])
def test_rows_of_two_commits_or_blocks_come_in_batches_of_their_own(odps: ODPS, partition: str | None) -> None:
    table = make_table(odps, "number BIGINT", "pt STRING" if partition else "")
    for blocks in ([3, 2], [4], [1]):
        session = tunnel_of(odps).create_upload_session(
            table.name, partition_spec=partition, create_partition=bool(partition)
        )
        for block_id, count in enumerate(blocks):
            write_block(session, block_id, [[number] for number in range(count)])
        session.commit(list(range(len(blocks))))
    odps.execute_sql(f"INSERT INTO {table.name} {'PARTITION (pt) ' if partition else ''}VALUES {_values(partition)}")
    numbers = [0, 1, 2, 0, 1, 0, 1, 2, 3, 0, 7, 8]
    download = tunnel_of(odps).create_download_session(table.name, partition_spec=partition)
    assert download.count == 12
    for start, count, sizes in [(0, 12, [3, 2, 4, 1, 2]), (2, 9, [1, 2, 4, 1, 1]), (5, 4, [4])]:
        with download.open_arrow_reader(start, count) as reader:
            batches = list(reader)
        assert [batch.num_rows for batch in batches] == sizes
        assert [number for batch in batches for number in batch.column(0).to_pylist()] == numbers[start : start + count]


def _values(partition: str | None) -> str:
    return "(7, 'a'), (8, 'a')" if partition else "(7), (8)"


@pytest.mark.parametrize("failing", [0, 1])
def test_an_arrow_reader_goes_on_between_two_commits(odps: ODPS, failing: int) -> None:
    table = make_table(odps, "number BIGINT")
    for first in (0, 10):
        odps.write_table(table.name, [[number] for number in range(first, first + 10)])
    download = tunnel_of(odps).create_download_session(table.name)
    with download.open_arrow_reader(0, 20) as reader:
        found = [reader.read_next_batch() for _ in range(failing)]
        # As PyODPS does after a broken connection: a new request from the first row that hasn't come.
        reader._inject_error(failing * 10, ConnectionResetError())
        found += list(reader)
    assert [batch.column(0).to_pylist() for batch in found] == [list(range(10)), list(range(10, 20))]


@pytest.mark.parametrize("algorithm", ["ZLIB", "ZSTD", "LZ4", "SNAPPY"])
def test_answers_are_compressed_as_they_are_asked_for(odps: ODPS, numbers: Table, algorithm: str) -> None:
    session = tunnel_of(odps).create_download_session(
        numbers.name,
        partition_spec="pt=a",
        compress_option=CompressOption(CompressOption.CompressAlgorithm(algorithm)),
    )
    with session.open_record_reader(0, 1000, compress=True, append_partitions=False) as reader:
        assert values_of(reader) == NUMBERS
    with session.open_arrow_reader(0, 1000, compress=True) as reader:
        assert reader.read().num_rows == 1000


def test_the_tables_own_reader_and_an_asynchronous_session(odps: ODPS, numbers: Table) -> None:
    with numbers.open_reader(partition="pt=a") as reader:
        assert reader.count == 1000
        assert [record["number"] for record in reader[3:6]] == [3, 4, 5]
        assert [record["pt"] for record in reader[3:5]] == ["a", "a"]
    session = tunnel_of(odps).create_download_session(numbers.name, async_mode=False, partition_spec="pt=a")
    again = tunnel_of(odps).create_download_session(numbers.name, download_id=session.id, partition_spec="pt=a")
    assert again.count == 1000
    assert again.status == again.Status.Normal


def test_a_session_keeps_its_view_of_the_table(odps: ODPS) -> None:
    table = make_table(odps, "key STRING, number BIGINT")
    odps.write_table(table.name, NUMBERS[:10])
    session = tunnel_of(odps).create_download_session(table.name)
    odps.write_table(table.name, NUMBERS[10:20])
    odps.write_table(table.name, NUMBERS[20:25], overwrite=True)
    with session.open_record_reader(0, session.count) as reader:
        assert values_of(reader) == NUMBERS[:10]
    assert rows_of(odps, table) == NUMBERS[20:25]


def test_what_isnt_there_is_refused_with_its_code(emulator: MaxComputeServer, odps: ODPS, numbers: Table) -> None:
    session = tunnel_of(odps).create_download_session(numbers.name, partition_spec="pt=a")
    data = {"data": "", "downloadid": session.id}
    for query, expected in [
        ({**data, "rowrange": "(999,2)"}, (400, "InvalidRowRange")),
        ({**data, "rowrange": "0,2"}, (400, "InvalidRowRange")),
        ({**data, "rowrange": "(-1,2)"}, (400, "InvalidRowRange")),
        ({**data, "rowrange": "(0,1)", "columns": "key,none"}, (400, "InvalidColumnSpec")),
        ({**data, "rowrange": "(0,1)", "columns": "key,key"}, (400, "InvalidColumnSpec")),
        ({**data, "downloadid": "none"}, (404, "NoSuchDownload")),
        ({"downloadid": "none"}, (404, "NoSuchDownload")),
    ]:
        assert refusal(odps, "get", numbers, query) == expected
    assert refusal(odps, "post", numbers, {"downloads": ""}) == (400, "MissingPartitionSpec")
    assert refusal(odps, "post", numbers, {"downloads": "", "partition": "pt=no"}) == (404, "NoSuchPartition")
    emulator.app[CLOCK].shift = timedelta(hours=24)
    try:
        with pytest.raises(Exception, match="StatusConflict"):
            emulator.app[DOWNLOADS].get(session.id, ("connector_test", "default", numbers.name))
    finally:
        emulator.app[CLOCK].shift = timedelta(0)


def test_forgotten_sessions_dont_pile_up(emulator: MaxComputeServer, odps: ODPS, numbers: Table) -> None:
    first = tunnel_of(odps).create_download_session(numbers.name, partition_spec="pt=a")
    downloads = emulator.app[DOWNLOADS]
    table = downloads._store.table("connector_test", "", numbers.name)
    for _ in range(MOST_SESSIONS):
        downloads.open_table(table, ("a",))
    assert refusal(odps, "get", numbers, {"downloadid": first.id}) == (404, "NoSuchDownload")


@pytest.mark.parametrize("type_", NANOSECOND_TYPES)
@pytest.mark.parametrize("algorithm", [None, "ZSTD", "LZ4"])
def test_a_preview_shows_the_first_rows(odps: ODPS, algorithm: str | None, type_: str) -> None:
    table = make_table(odps, f"id BIGINT, at {type_}, name STRING", "pt STRING")
    rows = [[number, pd.Timestamp("2026-11-17 15:00:00.123456789"), None] for number in range(20)]
    odps.write_table(table.name, rows, partition="pt=a", create_partition=True)
    with tunnel_of(odps).open_preview_reader(
        table, partition_spec="pt=a", limit=5, compress_algo=algorithm, arrow=True
    ) as reader:
        found = reader.read()
    assert found.column("id").to_pylist() == [0, 1, 2, 3, 4]
    assert found.column("at").cast(pa.int64()).to_pylist() == [rows[0][1].value] * 5
    with tunnel_of(odps).open_preview_reader(table, columns=["name", "id"], arrow=True) as reader:
        assert reader.read().num_rows == 20
    assert [record["id"] for record in table.head(3, partition="pt=a")] == [0, 1, 2]


def test_an_empty_partition_has_no_rows_in_either_wire(odps: ODPS) -> None:
    table = make_table(odps, "id BIGINT", "pt STRING")
    table.create_partition("pt=a")
    session = tunnel_of(odps).create_download_session(table.name, partition_spec="pt=a")
    assert session.count == 0
    query = {"data": "", "downloadid": session.id, "rowrange": "(0,0)"}
    assert ask(odps, "get", table, query).content.hex() == "f0ffff7f00f8ffff7f00"
    assert ask(odps, "get", table, {**query, "arrow": ""}).content.hex() == "0001000000000000"
    with tunnel_of(odps).open_preview_reader(table, partition_spec="pt=a", arrow=True) as reader:
        assert reader.read().num_rows == 0


def test_streams_always_have_their_end(odps: ODPS, numbers: Table) -> None:
    options.tunnel.require_stream_footer = True
    try:
        session = tunnel_of(odps).create_download_session(numbers.name, partition_spec="pt=a")
        with session.open_record_reader(0, 1000) as reader:
            assert sum(1 for _ in reader) == 1000
    finally:
        options.tunnel.require_stream_footer = False


def test_a_sessions_description_has_what_both_sdks_read(odps: ODPS, numbers: Table) -> None:
    description = json.loads(ask(odps, "post", numbers, {"downloads": "", "partition": "pt=a"}).content)
    assert description["Status"] == "NORMAL"
    assert description["RecordCount"] == 1000
    assert [column["name"] for column in description["Schema"]["columns"]] == ["key", "number"]
    assert [column["name"] for column in description["Schema"]["partitionKeys"]] == ["pt"]


def test_a_client_that_stops_reading_keeps_nobody_from_the_same_session(odps: ODPS) -> None:
    table = make_table(odps, "number BIGINT, filling STRING")
    session = tunnel_of(odps).create_upload_session(table.name)
    with session.open_arrow_writer(0) as writer:
        writer.write(pa.RecordBatch.from_pydict({"number": range(300_000), "filling": ["x" * 200] * 300_000}))
    session.commit([0])
    download = tunnel_of(odps).create_download_session(table.name)
    with download.open_record_reader(0, download.count) as slow, download.open_arrow_reader(0, 300_000) as fast:
        assert next(iter(slow))["number"] == 0
        assert fast.read().column("number").to_pylist() == list(range(300_000))
        assert [record["number"] for record in slow] == list(range(1, 300_000))
