"""Values and types of MaxCompute's expressions: literals, casts, operators, functions, NULLs."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from local_emulator.maxcompute.sql.errors import SqlError
from tests.maxcompute_sql import NEEDS_DUCKDB_2, Session

pytestmark = pytest.mark.quick
UTC = timezone.utc
MIDNIGHT = datetime(2019, 12, 31, 16, tzinfo=UTC)  # 2020-01-01 00:00:00 in the project's time zone


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


def check(session: Session, expression: str, value: Any, type_: str) -> None:
    assert (session.value(expression), session.type(expression)) == (value, type_)


@pytest.mark.parametrize(
    ("expression", "value", "type_"),
    [
        ("1", 1, "int"),
        ("2147483648", 2147483648, "bigint"),
        ("1L", 1, "bigint"),
        ("1.5", 1.5, "double"),
        ("1e3", 1000.0, "double"),
        ("1.5BD", Decimal("1.5"), "decimal(2,1)"),
        ("'it\\'s'", "it's", "string"),
        ('"it\'s"', "it's", "string"),
        (r"'a\tb\n\\d'", "a\tb\n\\d", "string"),
        (r"'\u4e2d文'", "中文", "string"),
        ("'--x'", "--x", "string"),
        ("'a\\0b'", "a\0b", "string"),
        ("''", "", "string"),
        ("TRUE", True, "boolean"),
        ("NULL", None, "string"),
        ("date '2020-01-01'", date(2020, 1, 1), "date"),
        ("datetime '2020-01-01 00:00:00'", MIDNIGHT, "datetime"),
        pytest.param(
            "timestamp '2020-01-01 00:00:00.000000001'", 1577808000000000001, "timestamp", marks=NEEDS_DUCKDB_2
        ),
        ("cast('2020-01-01 00:00:00' as timestamp_ntz)", 1577836800000000000, "timestamp_ntz"),
        ("json '{\"a\":1}'", '{"a":1}', "json"),
    ],
)
def test_literals(session: Session, expression: str, value: Any, type_: str) -> None:
    check(session, expression, value, type_)


@pytest.mark.parametrize(
    ("expression", "value", "type_"),
    [
        ("cast('12' as bigint)", 12, "bigint"),
        ("cast('9223372036854775807' as bigint)", 9223372036854775807, "bigint"),
        ("cast('1.9' as bigint)", 1, "bigint"),
        ("cast('abc' as bigint)", None, "bigint"),
        ("cast(2.7 as bigint)", 2, "bigint"),
        ("cast(-2.7 as int)", -2, "int"),
        ("cast(true as int)", 1, "int"),
        ("cast('1.5' as double)", 1.5, "double"),
        ("cast(1 as decimal(10,2))", Decimal("1.00"), "decimal(10,2)"),
        ("cast(1.50BD as string)", "1.5", "string"),
        ("cast(100BD as string)", "100", "string"),
        ("cast(true as string)", "true", "string"),
        ("cast('true' as boolean)", True, "boolean"),
        ("cast(0 as boolean)", False, "boolean"),
        ("cast('abcdef' as varchar(3))", "abc", "varchar(3)"),
        ("cast('abc' as binary)", b"abc", "binary"),
        ("cast(cast('abc' as binary) as string)", "abc", "string"),
        ("cast('2020-01-01' as date)", date(2020, 1, 1), "date"),
        ("cast('2020-01-01 00:00:00' as datetime)", MIDNIGHT, "datetime"),
        ("cast('x' as datetime)", None, "datetime"),
        ("cast(datetime '2020-01-01 10:20:30' as string)", "2020-01-01 10:20:30", "string"),
        ("cast(datetime '2020-01-01 10:20:30' as date)", date(2020, 1, 1), "date"),
        ("cast(date '2020-01-01' as datetime)", MIDNIGHT, "datetime"),
        pytest.param(
            "cast(timestamp '2020-01-01 00:00:00.12' as string)",
            "2020-01-01 00:00:00.12",
            "string",
            marks=NEEDS_DUCKDB_2,
        ),
        ("cast(NULL as array<bigint>)", None, "array<bigint>"),
        ("cast(array(1, 2) as array<string>)", ["1", "2"], "array<string>"),
    ],
)
def test_casts(session: Session, expression: str, value: Any, type_: str) -> None:
    check(session, expression, value, type_)


@pytest.mark.parametrize(
    ("expression", "value", "type_"),
    [
        ("1 + 2", 3, "bigint"),
        ("1 + 2 * 3", 7, "bigint"),
        ("(1 + 2) * 3", 9, "bigint"),
        ("7 / 2", 3.5, "double"),
        ("7 DIV 2", 3, "bigint"),
        ("7 % 2", 1, "bigint"),
        ("1 / 0", None, "double"),
        ("1 % 0", None, "bigint"),
        ("1.5 + 1", 2.5, "double"),
        ("'3' + 4", 7.0, "double"),
        ("-'3'", -3.0, "double"),
        ("1.5BD + 1", Decimal("2.5"), "decimal(21,1)"),
        ("1.5BD * 2", Decimal("3.0"), "decimal(38,1)"),
        ("1BD / 3", Decimal("0.333333333333333333"), "decimal(38,18)"),
        ("-2BD / 3", Decimal("-0.666666666666666667"), "decimal(38,18)"),
        ("7.5BD / 0", None, "decimal(38,18)"),
        (
            "12345678901234567.89BD / cast('0.125' as decimal(38,18))",
            Decimal("98765431209876543.12"),
            "decimal(38,18)",
        ),
        ("6 & 3", 2, "bigint"),
        ("6 | 3", 7, "bigint"),
        ("6 ^ 3", 5, "bigint"),
        ("'a' || 1", "a1", "string"),
        ("NULL + 1", None, "bigint"),
    ],
)
def test_arithmetic(session: Session, expression: str, value: Any, type_: str) -> None:
    check(session, expression, value, type_)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 = 1.0", True),
        ("'10' = 10", True),
        ("'abc' = 1", None),
        ("'b' > 'a'", True),
        ("'B' < 'a'", True),
        ("datetime '2020-01-01 00:00:00' = '2020-01-01 00:00:00'", True),
        ("date '2020-01-02' > datetime '2020-01-01 23:59:59'", True),
        ("NULL = NULL", None),
        ("NULL <=> NULL", True),
        ("1 <=> NULL", False),
        ("NULL AND FALSE", False),
        ("NULL AND TRUE", None),
        ("NULL OR TRUE", True),
        ("NOT NULL", None),
        ("1 IN (2, NULL)", None),
        ("1 IN (1, NULL)", True),
        ("1 NOT IN (2, NULL)", None),
        ("NULL IS NULL", True),
        ("1 IS NOT NULL", True),
        ("2 BETWEEN 1 AND 3", True),
        ("2 NOT BETWEEN '1' AND '3'", False),
        ("'abc' LIKE 'a%'", True),
        ("'a%c' LIKE 'a\\%c'", True),
        ("'abc' LIKE 'a\\%c'", False),
        ("'abc' NOT LIKE 'a_c'", False),
        ("'abc' RLIKE 'b+'", True),
        ("'a.c' RLIKE '^a\\\\.c$'", True),
    ],
)
def test_comparisons_are_three_valued(session: Session, expression: str, value: Any) -> None:
    check(session, expression, value, "boolean")


@pytest.mark.parametrize(
    ("expression", "value", "type_"),
    [
        ("length('中文')", 2, "bigint"),
        ("lengthb('中文')", 6, "bigint"),
        ("concat('a', 1, NULL)", None, "string"),
        ("concat('a', 1, TRUE)", "a1true", "string"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b", "string"),
        ("substr('abcdef', 2, 3)", "bcd", "string"),
        ("substr('abcdef', -2)", "ef", "string"),
        ("substr('abc', 0, 2)", "ab", "string"),
        ("upper('a')", "A", "string"),
        ("trim('  a ')", "a", "string"),
        ("instr('hello', 'l')", 3, "bigint"),
        ("replace('aXbX', 'X', '-')", "a-b-", "string"),
        ("lpad('5', 3, '0')", "005", "string"),
        ("reverse('abc')", "cba", "string"),
        ("split('a,b', ',')", ["a", "b"], "array<string>"),
        ("split_part('a,b,c', ',', 2)", "b", "string"),
        ("regexp_extract('ab12', '([a-z]+)(\\\\d+)', 2)", "12", "string"),
        ("regexp_replace('a1b2', '[0-9]', '#')", "a#b#", "string"),
        ("md5('a')", "0cc175b9c0f1b6a831c399e269772661", "string"),
        ('get_json_object(\'{"a":{"b":[1,"x"]}}\', \'$.a.b[1]\')', "x", "string"),
        ("get_json_object('no json', '$.a')", None, "string"),
        ("coalesce(NULL, 1, 2.5)", 1.0, "double"),
        ("nvl(NULL, 'x')", "x", "string"),
        ("if(1 > 2, 'a', 'b')", "b", "string"),
        ("nullif(1, 1)", None, "int"),
        ("decode(2, 1, 'one', 2, 'two', 'many')", "two", "string"),
        ("case when NULL then 1 else 2 end", 2, "int"),
        ("case 'b' when 'a' then 1 when 'b' then 2 end", 2, "int"),
        ("greatest(1, 3, 2)", 3, "int"),
        ("least(1, NULL)", None, "int"),
        ("abs(-3)", 3, "int"),
        ("round(2.567, 2)", 2.57, "double"),
        ("trunc(2.567, 1)", 2.5, "double"),
        ("ceil(1.2)", 2, "bigint"),
        ("floor(-1.2)", -2, "bigint"),
        ("sqrt(-1)", None, "double"),
        ("pmod(-7, 3)", 2, "bigint"),
        ("log(2, 8)", 3.0, "double"),
        ("year('2020-11-17 14:00:00')", 2020, "int"),
        ("hour(datetime '2020-11-17 14:05:00')", 14, "int"),
        ("weekday(datetime '2020-11-17 00:00:00')", 1, "bigint"),
        ("to_char(datetime '2020-11-17 14:05:06', 'mm-dd-yyyy hh:mi:ss')", "11-17-2020 14:05:06", "string"),
        ("date_format(datetime '2020-11-17 14:05:06', 'MM-dd-yyyy HH')", "11-17-2020 14", "string"),
        ("to_date('01-01-2020', 'dd-mm-yyyy')", MIDNIGHT, "datetime"),
        ("dateadd(datetime '2019-12-31 00:00:00', 1, 'dd')", MIDNIGHT, "datetime"),
        ("dateadd(date '2019-12-01', 1, 'mm')", date(2020, 1, 1), "date"),
        ("datediff(datetime '2020-01-02 00:00:00', datetime '2020-01-01 23:59:59', 'dd')", 1, "bigint"),
        ("datetrunc(datetime '2020-01-15 10:00:00', 'mm')", MIDNIGHT, "datetime"),
        ("datepart(datetime '2020-01-15 10:00:00', 'mi')", 0, "bigint"),
        ("last_day(date '2020-02-05')", date(2020, 2, 29), "date"),
        ("from_unixtime(1577808000)", MIDNIGHT, "datetime"),
        ("unix_timestamp(datetime '2020-01-01 00:00:00')", 1577808000, "bigint"),
        ("getdate()", datetime(2020, 11, 17, 6, 5, 4, 321000, tzinfo=UTC), "datetime"),
        ("current_date", date(2020, 11, 17), "date"),
        ("array(1, 2, 3)[1]", 2, "int"),
        ("array(1)[-1]", None, "int"),
        ("map('k', 1)['k']", 1, "int"),
        ("map('k', 1)['x']", None, "int"),
        ("size(array(1, 2))", 2, "bigint"),
        ("size(map('a', 1))", 1, "bigint"),
        ("array_contains(array(1, 2), 2)", True, "boolean"),
        ("sort_array(array(2, 1))", [1, 2], "array<int>"),
        ("map_keys(map('a', 1))", ["a"], "array<string>"),
        ("named_struct('a', 1, 'b', 'x').b", "x", "string"),
        ("extract(year from date '2020-01-01')", 2020, "int"),
    ],
)
def test_functions(session: Session, expression: str, value: Any, type_: str) -> None:
    check(session, expression, value, type_)


def test_times_are_read_in_the_zone_of_the_setting(session: Session) -> None:
    other = Session()
    other.settings = {"odps.sql.timezone": "UTC"}
    assert other.value("cast(from_unixtime(0) as string)") == "1970-01-01 00:00:00"
    assert session.value("cast(from_unixtime(0) as string)") == "1970-01-01 08:00:00"
    other.settings = {"odps.sql.timezone": "Mars/Olympus"}
    with pytest.raises(SqlError, match="IANA"):
        other.value("1")


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("no_such_function(1)", "0130161"),
        ("interval 1 day", "0130161"),
        ("to_char(getdate(), concat('y', 'y'))", "0130161"),
        ("get_json_object('{}', '$.a[*]')", "0130161"),
        ("1.5BD DIV 2", "0130161"),
        ("cast(99999999999999999999 as decimal(38,18)) * 99999999999999999999BD", "0121145"),
        ("repeat('x', 9000000)", "0121145"),
        ("substr('a')", "0130071"),
        ("cast('a' as bigint unsigned)", "0130071"),
        ("cast(array(1) as bigint)", "0130071"),
        ("cast(1 as decimal(50,2))", "0130071"),
        ("array(1) + 1", "0130161"),
        ("array(1) = array(1)", "0130071"),
        ("dateadd(getdate(), 1, 'lightyear')", "0130071"),
        ("nope", "0130071"),
        ("upper(array(1))", "0130071"),
        ("named_struct('a', 1).z", "0130071"),
        ("9223372036854775807 + 1", "0121145"),
        ("[1, 2]", "0130161"),
        ("'a' 'b'", "0130161"),
        ("row_number()", "0130161"),
    ],
)
def test_what_is_not_emulated_or_does_not_fit_is_refused(session: Session, expression: str, code: str) -> None:
    with pytest.raises(SqlError) as caught:
        session.value(expression)
    assert caught.value.code == code
