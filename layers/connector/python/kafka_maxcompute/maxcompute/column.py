"""A column of a MaxCompute table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `type` is MaxCompute's text of a type, such as STRING or DECIMAL(10,2)."""

    name: str
    type: str
    nullable: bool = True
