"""Partition values in the queries of Tunnel's clients: ``pt=2020-11-17 15:00,region=cn``, unquoted."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from local_emulator.maxcompute.tunnel.errors import tunnel_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.maxcompute.entities import Table


def requested_spec(table: Table, query: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the query's ``partition`` in the order of the table's partition columns.

    A table without partition columns has (). ServiceError MissingPartitionSpec, or InvalidPartitionSpec if the
    parameter doesn't name each partition column once.
    """
    text = query.get("partition", "")
    if not table.partition_columns:
        if text:
            raise tunnel_error("InvalidPartitionSpec", f"The table has no partition columns; found '{text}'.")
        return ()
    if not text:
        names = ", ".join(column.name for column in table.partition_columns)
        raise tunnel_error("MissingPartitionSpec", f"Partition columns: {names}.")
    return parse_spec(table, text)


def named_spec(table: Table, query: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the values of the query's ``partition``; None if the query has none, since the session has a partition."""
    text = query.get("partition", "")
    return parse_spec(table, text) if text and table.partition_columns else None


def parse_spec(table: Table, text: str) -> tuple[str, ...]:
    """Return the values of ``name=value`` pairs, separated by commas or slashes.

    A value ends before the name of the next partition column, since a comma may also be a part of a value. Quotes
    around a value are dropped.
    """
    names = [column.name for column in table.partition_columns]
    pairs = re.compile(rf"(?:^|[,/])\s*({'|'.join(map(re.escape, names))})\s*=", re.IGNORECASE)
    matches = list(pairs.finditer(text))
    values: dict[str, str] = {}
    for match, following in zip_longest(matches, matches[1:]):
        value = text[match.end() : following.start() if following else len(text)].strip()
        values[match[1].lower()] = _unquoted(value)
    if (
        not matches
        or matches[0].start()
        or len(matches) != len(names)
        or set(values) != set(names)
        or "" in values.values()
    ):
        expected = ",".join(f"{name}=value" for name in names)
        raise tunnel_error("InvalidPartitionSpec", f"Expected '{expected}', found '{text}'.")
    return tuple(values[name] for name in names)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
