"""The local `sql` command shows what the statement computed: its zone, its range of times, its nulls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from odps import ODPS, options

from local_emulator.cli import sql_answers
from local_emulator.maxcompute import server
from tests.maxcompute_sql import NANOSECOND_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def odps() -> Iterator[ODPS]:
    with server.start(project="p", access_id="ak", access_key="sk") as running:
        yield sql_answers.client("ak", "sk", "p", running.endpoint, running.endpoint.removesuffix("/api"))


def shown(odps: ODPS, statement: str) -> list[list[str]]:
    """The cells that are drawn, the names first."""
    lines = [line for line in sql_answers.run(odps, statement) if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    "text",
    [
        "1988-07-01 12:00:00",
        "1940-07-01 12:00:00",
        "1900-01-01 00:00:00",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "2020-11-17 14:20:00",
    ],
)
def test_a_time_is_shown_as_it_was_told(odps: ODPS, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "local_timezone", "America/New_York")
    for zone in ("Asia/Shanghai", "UTC", "Europe/Berlin"):
        statement = f"SET odps.sql.timezone={zone}; SELECT cast('{text}' AS datetime) AS t, '{text}' AS s"
        assert shown(odps, statement)[1] == [text, text]


def test_times_are_in_the_projects_zone(odps: ODPS) -> None:
    statement = "SELECT from_unixtime(583718400) AS t, cast(from_unixtime(583718400) AS string) AS s"
    assert shown(odps, statement)[1] == ["1988-07-01 09:00:00", "1988-07-01 09:00:00"]


@pytest.mark.parametrize("type_", NANOSECOND_TYPES)
def test_nine_digits_need_no_pandas(odps: ODPS, type_: str) -> None:
    statement = f"SELECT cast('2024-01-01 00:00:00.123456789' AS {type_}) AS t"
    assert shown(odps, statement)[1] == ["2024-01-01 00:00:00.123456789"]


def test_texts_nulls_and_numbers_are_told_apart(odps: ODPS) -> None:
    statement = (
        "SELECT 1 AS n, '' AS e, '\\\\N' AS b, cast(NULL AS string) AS z, 'a\"b,c\nd' AS q, 1.5 AS d, true AS t, "
        "cast(NULL AS bigint) AS m"
    )
    assert shown(odps, statement)[1] == ["1", "", "\\N", "NULL", 'a"b,c\\nd', "1.5", "true", "NULL"]


def test_rows_that_are_not_shown_are_counted(odps: ODPS) -> None:
    odps.execute_sql("CREATE TABLE many (n BIGINT)")
    with odps.get_table("many").open_writer() as writer:
        writer.write([[n] for n in range(10_001)])
    lines = list(sql_answers.run(odps, "SELECT n FROM many LIMIT 20000"))
    assert (len(lines), lines[-1]) == (10_005, "the first 10,000 of 10,001 rows")
