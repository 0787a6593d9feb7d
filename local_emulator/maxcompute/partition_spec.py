"""A partition's name as it travels: ``pt='v',region="w"`` (REST), ``pt=v,region=w`` (Tunnel), ``pt=v/region=w``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Table

_PAIR = re.compile(r"""\s*([^=,/\s]+)\s*=\s*(?:'([^']*)'|"([^"]*)"|((?!['\"])[^,/]*?))\s*(?:[,/]|\Z)""")


def parse_spec(text: str) -> dict[str, str]:
    """Names and values; ServiceError InvalidPartitionSpec if the text is none."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if not match or match.end() == at:
            raise invalid(f"expected name='value', found {text[at:]!r}", "InvalidPartitionSpec")
        found[match[1].lower()] = next(group for group in match.groups()[1:] if group is not None)
        at = match.end()
    if not found:
        raise invalid("expected name='value', found nothing", "InvalidPartitionSpec")
    return found


def whole_spec(table: Table, text: str) -> tuple[str, ...]:
    """The values of all partition columns, in the table's order; ServiceError if one is missing or unknown."""
    found = parse_spec(text)
    names = [column.name for column in table.partition_columns]
    if sorted(found) != sorted(names):
        expected = ", ".join(names) or "no partition column"
        raise invalid(f"expected a value of {expected}, found {text}", "InvalidPartitionSpec")
    return tuple(found[name] for name in names)


def matches(table: Table, wanted: dict[str, str], spec: tuple[str, ...]) -> bool:
    """Whether a partition has the values of some of the columns."""
    values = dict(zip((column.name for column in table.partition_columns), spec, strict=True))
    return all(values.get(name) == value for name, value in wanted.items())
