"""A partition's name in requests: ``pt='v',region="w"`` (REST), ``pt=v,region=w`` (Tunnel), ``pt=v/region=w``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Table

_PAIR = re.compile(r"""\s*([^=,/\s]+)\s*=\s*(?:'([^']*)'|"([^"]*)"|((?!['\"])[^,/]*?))\s*(?:[,/]|\Z)""")


def parse_spec(text: str) -> dict[str, str]:
    """Return the values by column name; ServiceError InvalidPartitionSpec if the text isn't a partition's name."""
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if not match or match.end() == at:
            raise invalid(f"expected name='value', found {text[at:]!r}", "InvalidPartitionSpec")
        values[match[1].lower()] = next(group for group in match.groups()[1:] if group is not None)
        at = match.end()
    if not values:
        raise invalid("expected name='value', found nothing", "InvalidPartitionSpec")
    return values


def whole_spec(table: Table, text: str) -> tuple[str, ...]:
    """Return the values of all partition columns in the table's order; ServiceError for a missing or unknown column."""
    values = parse_spec(text)
    names = [column.name for column in table.partition_columns]
    if sorted(values) != sorted(names):
        expected = ", ".join(names) or "no partition column"
        raise invalid(f"expected a value of {expected}, found {text}", "InvalidPartitionSpec")
    return tuple(values[name] for name in names)


def matches(table: Table, wanted: dict[str, str], spec: tuple[str, ...]) -> bool:
    """Return whether a partition has the wanted values."""
    values = dict(zip((column.name for column in table.partition_columns), spec, strict=True))
    return all(values.get(name) == value for name, value in wanted.items())
