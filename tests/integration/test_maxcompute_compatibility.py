"""What PyODPS's users rely on in tables, partitions and downloads, with unmodified PyODPS."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pytest
from odps.errors import ODPSError

from tests.maxcompute_sql import NANOSECOND_TYPES
from tests.tunnel_clients import make_table, rows_of, tunnel_of, values_of

if TYPE_CHECKING:
    from odps import ODPS

UNITS = [("year", "2026"), ("month", "2026-11"), ("day", "2026-11-17"), ("hour", "2026-11-17 15:00:00")]
CELLS = [["ab", "ab"], ["数据", "数据"], [None, None]]
AT = pd.Timestamp("2026-11-17 15:00:00.123456789")
FILLED = [["ab  ", "ab"], ["数据  ", "数据"], [None, None]]


def test_a_char_is_given_out_in_its_whole_length(owner: ODPS) -> None:
    table = make_table(owner, "c CHAR(4), v VARCHAR(4)")
    owner.write_table(table.name, CELLS)
    assert rows_of(owner, table) == FILLED
    session = tunnel_of(owner).create_download_session(table.name)
    with session.open_arrow_reader(0, session.count) as reader:
        assert [list(row.values()) for row in reader.read().to_pylist()] == FILLED
    with tunnel_of(owner).open_preview_reader(table, arrow=False) as reader:
        assert values_of(reader) == FILLED
    found = owner.execute_sql(f"SELECT v FROM {table.name} WHERE c = 'ab'")  # noqa: S608 - a name of the test's
    with found.open_reader(tunnel=True) as reader:
        assert [record["v"] for record in reader] == ["ab"]


def test_any_number_of_first_rows_may_be_asked_of_an_empty_table(owner: ODPS) -> None:
    table = make_table(owner, "id BIGINT")
    session = tunnel_of(owner).create_download_session(table.name)
    with session.open_arrow_reader(0, 4) as reader:
        assert reader.read().num_rows == 0
    with session.open_record_reader(0, 4) as reader:
        assert list(reader) == []


def test_a_preview_of_all_partitions_tells_which_one_a_row_is_in(owner: ODPS) -> None:
    table = make_table(owner, "id BIGINT", "day STRING, hour STRING")
    owner.write_table(table.name, [[1]], partition="day=17,hour=15", create_partition=True)
    with tunnel_of(owner).open_preview_reader(table, limit=3, arrow=False) as reader:
        assert values_of(reader) == [[1, "17", "15"]]
    with tunnel_of(owner).open_preview_reader(table, columns=["id"], arrow=True) as reader:
        assert reader.read() == pa.table({"id": [1]})


@pytest.mark.parametrize("type_", NANOSECOND_TYPES)
def test_a_preview_has_all_digits_of_times(owner: ODPS, type_: str) -> None:
    table = make_table(owner, f"at {type_}", "day STRING")
    owner.write_table(table.name, [[AT]], partition="day=17", create_partition=True)
    with tunnel_of(owner).open_preview_reader(table, limit=3, arrow=False) as reader:
        assert [record["at"] for record in reader] == [AT]


def test_a_partitions_details_are_not_its_times(owner: ODPS) -> None:
    table = make_table(owner, "id BIGINT", "pt STRING")
    partition = table.create_partition("pt=a")
    assert partition.file_num == 0
    assert not partition.is_loaded
    assert isinstance(partition.creation_time, datetime)
    assert partition.is_loaded


def test_touching_a_table_is_seen_at_once(owner: ODPS) -> None:
    table = make_table(owner, "id BIGINT")
    before = table.last_data_modified_time
    table.touch()
    assert table.last_data_modified_time > before


@pytest.mark.parametrize(("unit", "value"), UNITS)
def test_rows_find_their_partition_by_their_time(owner: ODPS, unit: str, value: str) -> None:
    columns = ("at TIMESTAMP_NTZ, id BIGINT", f"trunc_time(at, '{unit}') AS pt")
    table = owner.create_table("automatic", columns, lifecycle=1)
    assert "AUTO PARTITIONED BY" in table.get_ddl()
    owner.execute_sql("INSERT INTO automatic VALUES (timestamp_ntz '2026-11-17 15:59:59.9', 1), (NULL, 2)")
    owner.write_table(table.name, [[AT, 3]], create_partition=True)  # PyODPS computes the partition's name itself
    assert rows_of(owner, table, f"pt={value}") == [[pd.Timestamp("2026-11-17 15:59:59.9"), 1], [AT, 3]]
    assert [partition.name for partition in table.partitions] == [f"pt='{value}'", "pt='__NULL__'"]


def test_a_table_is_made_again_from_what_shows_how_it_was(owner: ODPS) -> None:
    owner.create_table("automatic", ("at DATETIME", "trunc_time(at, 'day') AS pt"))
    with owner.execute_sql("SHOW CREATE TABLE automatic").open_reader() as reader:
        shown = reader.raw
    owner.execute_sql("DROP TABLE automatic")
    owner.execute_sql(shown)
    owner.execute_sql("INSERT OVERWRITE automatic SELECT DATETIME '2026-11-17 15:00:00'")
    assert owner.get_table("automatic").exist_partition("pt=2026-11-17")


@pytest.mark.parametrize(
    "definition", ["trunc_time(id, 'day') AS pt", "trunc_time(no, 'day') AS pt", "trunc_time(at, 'week') AS pt"]
)
def test_partitions_by_what_is_no_time_are_refused(owner: ODPS, definition: str) -> None:
    with pytest.raises(ODPSError, match="ODPS-0130071"):
        owner.execute_sql(f"CREATE TABLE wrong (at DATETIME, id BIGINT) AUTO PARTITIONED BY ({definition})")
    assert not owner.exist_table("wrong")
