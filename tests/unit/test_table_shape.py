"""Which tables fit which settings, and that every difference is named at once."""

from __future__ import annotations

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute import table
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import TableDefinition
from kafka_maxcompute.settings.settings import Settings

pytestmark = pytest.mark.quick

PT = [Column("pt", "STRING")]
POSITION = [Column("topic", "STRING"), Column("partition", "BIGINT"), Column("offset", "BIGINT")]


def settings(**changed: object) -> Settings:
    needed = {"name": "n", "source_topic": "s", "endpoint": "http://h/api", "project": "connector_test"} | {
        "delivery": "at-least-once"
    }
    return Settings.from_mapping({**needed, "table": "test_kafka", **changed})


def columns(text: str) -> list[Column]:
    """Position and further columns out of a text such as `key string; value binary`."""
    further = [part.split(maxsplit=1) for part in text.split("; ") if part]
    return POSITION + [Column(name, type_) for name, type_ in further]


def faults(of: Settings, found: list[Column], partition: list[Column] = PT, key: tuple[str, ...] = ()) -> list[str]:
    try:
        table.check(of, TableDefinition(tuple(found), tuple(partition), primary_key=key))
    except ConfigurationError as error:
        return [fault.removeprefix("table connector_test.test_kafka: ") for fault in error.faults]
    return []


def test_the_documents_statement() -> None:
    assert str(table.create_statement(settings())) == (
        "CREATE TABLE IF NOT EXISTS `test_kafka` (`topic` STRING, `partition` BIGINT, `offset` BIGINT, `key` STRING, "
        "`value` STRING) PARTITIONED BY (`pt` STRING);"
    )


@pytest.mark.parametrize(
    ("changed", "further"),
    [
        ({"format": "BINARY"}, ", `key` BINARY, `value` BINARY) PARTITIONED BY (`pt` STRING);"),
        ({"mode": "KEY"}, ", `key` STRING) PARTITIONED BY (`pt` STRING);"),
        ({"mode": "VALUE", "format": "BINARY"}, ", `value` BINARY) PARTITIONED BY (`pt` STRING);"),
        ({"partition_column": "hour"}, ", `key` STRING, `value` STRING) PARTITIONED BY (`hour` STRING);"),
    ],
)
def test_statements_of_other_modes_and_formats(changed: dict[str, str], further: str) -> None:
    assert str(table.create_statement(settings(**changed))).endswith("`offset` BIGINT" + further)


def test_a_statement_for_csv_lists_the_fields() -> None:
    fields = [Column("id", "bigint"), Column("amount", "decimal(10, 2)")]
    statement = str(table.create_statement(settings(mode="VALUE", format="CSV"), fields))
    assert "`offset` BIGINT, `id` BIGINT, `amount` DECIMAL(10,2)) PARTITIONED BY" in statement


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ([], "expected a column for each field of a CSV line after offset, found none"),
        ([Column("a` STRING); drop table x; --", "STRING")], "expected a name of a letter and up to 127 letters"),
        ([Column("a", "ARRAY<STRING>")], "for a CSV field, found 'ARRAY<STRING>'"),
    ],
)
def test_a_statement_for_csv_needs_good_fields(fields: list[Column], fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        table.create_statement(settings(mode="KEY", format="CSV"), fields)
    assert fault in raised.value.faults[0]


@pytest.mark.parametrize("mode", ["DEFAULT", "KEY", "VALUE"])
@pytest.mark.parametrize("text_format", ["TEXT", "BINARY"])
def test_a_table_made_by_the_statement_fits(mode: str, text_format: str) -> None:
    of = settings(mode=mode, format=text_format)
    table.check(of, TableDefinition(table.expected(of), tuple(PT)))


@pytest.mark.parametrize(
    ("changed", "further"),
    [
        ({}, "key string; value string"),
        ({}, "KEY String; Value STRING"),
        ({}, "value string; key string"),
        ({}, "key string; value string; note array<string>"),
        ({"mode": "KEY"}, "key string"),
        ({"mode": "KEY"}, "key string; value string"),
        ({"mode": "KEY"}, "key string; value binary"),
        ({"mode": "VALUE"}, "value string"),
        ({"mode": "VALUE"}, "key string; value string"),
        ({"format": "BINARY"}, "key binary; value binary"),
        ({"format": "BINARY"}, "key string; value binary"),
        ({"format": "BINARY"}, "key string; value string"),
        ({"mode": "KEY", "format": "CSV"}, "a bigint"),
        ({"mode": "VALUE", "format": "CSV"}, "a tinyint; b smallint; c int; d bigint; e float; f double; g boolean"),
        (
            {"mode": "VALUE", "format": "CSV"},
            "a decimal; b decimal(10, 2); c varchar(20); d char(3); e string; f binary",
        ),
        ({"mode": "VALUE", "format": "CSV"}, "a date; b datetime; c timestamp; d timestamp_ntz; key bigint"),
    ],
)
def test_tables_that_fit(changed: dict[str, str], further: str) -> None:
    assert faults(settings(**changed), columns(further)) == []


@pytest.mark.parametrize(
    ("changed", "further", "found"),
    [
        ({}, "key string", ["expected a column value STRING for mode DEFAULT, found none; add it or change the mode"]),
        (
            {},
            "key binary; value bigint",
            [
                "expected key STRING for format TEXT, found key BINARY; create the table again or change the format",
                (
                    "expected value STRING for format TEXT, found value BIGINT; "
                    "create the table again or change the format"
                ),
            ],
        ),
        ({"mode": "KEY"}, "value string", ["expected a column key STRING for mode KEY, found none"]),
        ({"mode": "VALUE"}, "", ["expected a column value STRING for mode VALUE, found none"]),
        (
            {"format": "BINARY", "mode": "KEY"},
            "key bigint",
            ["expected key BINARY or STRING for format BINARY, found"],
        ),
        ({"format": "BINARY", "mode": "KEY"}, "", ["expected a column key BINARY for mode KEY, found none"]),
        ({"format": "CSV", "mode": "KEY"}, "", ["expected a column for each field of a CSV line after offset"]),
        (
            {"format": "CSV", "mode": "KEY"},
            "a map<string,string>; b bigint; c json",
            ["expected one of TINYINT, SMALLINT", "expected one of TINYINT, SMALLINT"],
        ),
    ],
)
def test_what_is_wrong_with_further_columns(changed: dict[str, str], further: str, found: list[str]) -> None:
    actual = faults(settings(**changed), columns(further))
    assert len(actual) == len(found)
    for fault, beginning in zip(actual, found, strict=True):
        assert fault.startswith(beginning)


def test_position_comes_first_and_in_order() -> None:
    found = [Column("topic", "STRING"), Column("offset", "BIGINT"), Column("partition", "INT"), Column("key", "STRING")]
    assert faults(settings(mode="KEY"), found) == [
        "column 2: expected partition BIGINT, found offset BIGINT; create the table again",
        "column 3: expected offset BIGINT, found partition INT; create the table again",
    ]
    assert faults(settings(mode="KEY"), [])[:3] == [
        "column 1: expected topic STRING, found none; create the table again",
        "column 2: expected partition BIGINT, found none; create the table again",
        "column 3: expected offset BIGINT, found none; create the table again",
    ]


def test_a_column_that_stays_null_has_to_allow_it() -> None:
    found = [*POSITION, Column("key", "STRING"), Column("value", "STRING", nullable=False)]
    assert faults(settings(mode="KEY"), found) == [
        "column value STRING is NOT NULL, but nothing is written there; drop it or allow NULL"
    ]
    assert faults(settings(), found) == []


@pytest.mark.parametrize(
    ("partition", "shown"),
    [
        ([], "found none"),
        ([Column("ds", "STRING")], "found ds STRING"),
        ([Column("pt", "BIGINT")], "found pt BIGINT"),
        ([Column("pt", "STRING"), Column("hh", "STRING")], "found pt STRING, hh STRING"),
    ],
)
def test_there_is_one_partition_column_of_text(partition: list[Column], shown: str) -> None:
    (fault,) = faults(settings(), columns("key string; value string"), partition)
    assert fault.startswith(
        f"expected one partition column, pt STRING, {shown}; create the table again, or set partition"
    )


def test_the_partition_columns_name_is_compared_without_case() -> None:
    assert faults(settings(), columns("key string; value string"), [Column("PT", "string")]) == []


def test_every_difference_is_reported_and_names_the_table() -> None:
    found = [Column("topic", "BIGINT"), *POSITION[1:], Column("key", "BIGINT")]
    with pytest.raises(ConfigurationError, match="4 faults") as raised:
        table.check(settings(), TableDefinition(tuple(found), ()))
    assert all(fault.startswith("table connector_test.test_kafka: ") for fault in raised.value.faults)


def test_a_table_with_a_primary_key_is_refused() -> None:
    (fault,) = faults(settings(), columns("key string; value string"), key=("topic", "offset"))
    assert fault == (
        "expected an append table, found the primary key topic, offset; name a table without a primary key"
    )
