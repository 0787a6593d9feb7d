"""Builds the statements for MaxCompute from checked parts; no other module writes SQL.

A `Statement` is always exactly one statement. Its parts are names that keep `names.MAXCOMPUTE`, types that
`column_type.parse` has read, whole numbers, and literals that are escaped here; anything else raises
`ConfigurationError`. MaxCompute's jobs have no parameters, so values are written into the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute import column_type
from kafka_maxcompute.settings.names import ACCOUNT, MAXCOMPUTE, ROLE, NameRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kafka_maxcompute.maxcompute.column import Column
    from kafka_maxcompute.offsets import Interval, TopicPartition

PRIVILEGES = ("CreateInstance", "Describe", "Alter", "Update", "Select")
"""The privileges that can be granted and revoked."""
_PRINCIPAL = re.compile(r"RAM\$(?P<account>[^:]+):role/(?P<role>.+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """The text of one statement; made by this module's functions only."""

    text: str

    def __str__(self) -> str:
        return self.text


def create_table(table: str, columns: Sequence[Column], partition_columns: Sequence[Column]) -> Statement:
    """Create a table unless it exists."""
    listed, partitions = (", ".join(map(_column, group)) for group in (columns, partition_columns))
    return Statement(f"CREATE TABLE IF NOT EXISTS {identifier(table)} ({listed}) PARTITIONED BY ({partitions});")


def drop_table(table: str) -> Statement:
    """Drop a table with its rows, if it exists."""
    return Statement(f"DROP TABLE IF EXISTS {identifier(table)};")


def count_rows(
    table: str, partition_column: str, partition_value: str, ranges: Iterable[tuple[TopicPartition, Interval]]
) -> Statement:
    """Count the rows of these offsets in a partition; the result is one row with the column `found`."""
    conditions = " OR ".join(
        f"(`topic` = {literal(topic)} AND `partition` = {number:d} AND `offset` BETWEEN {first:d} AND {last:d})"
        for (topic, number), (first, last) in ranges
    )
    where = f"{identifier(partition_column)} = {literal(partition_value)} AND ({conditions})"
    return Statement(f"SELECT COUNT(*) AS found FROM {identifier(table)} WHERE {where};")  # noqa: S608 # parsed parts


def runs_of_offsets(
    table: str, partition_column: str, topic: str, after: tuple[int, int] | None, page: int
) -> Statement:
    """Select the rows of a topic as ordered runs of offsets: the first `page` runs after a topic-partition's offset.

    Columns: partition, lowest and highest (partition values), copies, first_offset, last_offset.
    """
    # The inner query makes one row of all rows of an offset, so that repeated rows form runs of their own. Among rows
    # with equal partition values and copies, only neighbours have the same offset minus row number. The condition on
    # the partition column is for projects that refuse to scan a whole table without such a condition.
    column, condition = identifier(partition_column), ""
    if after is not None:
        partition, offset = after
        condition = f" AND (`partition` > {partition:d} OR (`partition` = {partition:d} AND `offset` > {offset:d}))"
    return Statement(
        f"""\
SELECT `partition`, lowest, highest, copies, MIN(`offset`) AS first_offset, MAX(`offset`) AS last_offset
FROM (
  SELECT `partition`, `offset`, lowest, highest, copies,
    `offset` - ROW_NUMBER() OVER (PARTITION BY `partition`, lowest, highest, copies ORDER BY `offset`) AS island
  FROM (
    SELECT `partition`, `offset`, MIN({column}) AS lowest, MAX({column}) AS highest, COUNT(*) AS copies
    FROM {identifier(table)}
    WHERE {column} > '' AND topic = {literal(topic)} AND `offset` >= 0{condition}
    GROUP BY `partition`, `offset`
  ) AS offsets
) AS numbered
GROUP BY `partition`, lowest, highest, copies, island
ORDER BY `partition`, first_offset LIMIT {page:d};"""  # noqa: S608 # parsed parts
    )


def add_user(principal: str) -> Statement:
    """Add a RAM role to the project's users."""
    return Statement(f"add user {user(principal)};")


def remove_user(principal: str) -> Statement:
    """Remove a user from the project."""
    return Statement(f"remove user {user(principal)};")


def grant_admin(principal: str) -> Statement:
    """Give a user the project's role admin."""
    return Statement(f"grant admin to {user(principal)};")


def show_grants(principal: str) -> Statement:
    """Show the privileges of a user."""
    return Statement(f"show grants for {user(principal)};")


def grant(privileges: Sequence[str], kind: str, name: str, principal: str) -> Statement:
    """Grant a user some of `PRIVILEGES` on a "project" or a "table"."""
    return Statement(f"grant {_privileges(privileges)} on {_object(kind, name)} to user {user(principal)};")


def revoke(privileges: Sequence[str], kind: str, name: str, principal: str) -> Statement:
    """Revoke a user's privileges on a "project" or a "table"."""
    return Statement(f"revoke {_privileges(privileges)} on {_object(kind, name)} from user {user(principal)};")


def identifier(name: str) -> str:
    """Return the name of a table or column in back quotes."""
    return f"`{_checked(name, MAXCOMPUTE, 'a name')}`"


def literal(value: str) -> str:
    """Return a string literal; in MaxCompute's SQL a backslash begins an escape, and line feeds are allowed."""
    if "\0" in value:
        raise ConfigurationError(["a text for SQL: expected no NUL character, found one"])
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def user(principal: str) -> str:
    """Return a RAM role as statements of access control name it: RAM$<account>:role/<role>, in back quotes."""
    match = _PRINCIPAL.fullmatch(principal)
    if match is None:
        raise ConfigurationError([f"a user: expected RAM$<account>:role/<role>, found {principal[:80]!r}"])
    return f"`RAM${_checked(match['account'], ACCOUNT, 'a user')}:role/{_checked(match['role'], ROLE, 'a user')}`"


def _column(column: Column) -> str:
    try:
        return f"{identifier(column.name)} {column_type.parse(column.type)}"
    except ValueError as error:
        raise ConfigurationError([f"column {column.name}: {error}, found {column.type[:80]!r}; correct it"]) from None


def _privileges(privileges: Sequence[str]) -> str:
    if not privileges or not set(privileges) <= set(PRIVILEGES):
        raise ConfigurationError([f"privileges: expected some of {', '.join(PRIVILEGES)}, found {list(privileges)!r}"])
    return ", ".join(privileges)


def _object(kind: str, name: str) -> str:
    """Return an object's kind and name without back quotes, as the connector document writes grants."""
    if kind not in {"project", "table"}:
        raise ConfigurationError([f"an object of a grant: expected project or table, found {kind!r}"])
    return f"{kind} {_checked(name, MAXCOMPUTE, f'a {kind}')}"


def _checked(name: str, rule: NameRule, what: str) -> str:
    if not rule.allows(name):
        raise ConfigurationError([f"{what}: expected {rule.expected}, found {name[:80]!r}; choose another"])
    return name
