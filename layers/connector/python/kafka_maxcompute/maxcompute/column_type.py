"""Parses MaxCompute's scalar types: a name and its parameters.

Bounds are those of MaxCompute's document "Data type editions" (2.0): DECIMAL has 1 to 38 digits, 0 to 18 of them after
the point; VARCHAR 1 to 65535 and CHAR 1 to 255 characters. DECIMAL alone is DECIMAL(38,18).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PARAMETERS: dict[str, tuple[tuple[int, int], ...]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"), ()),
    "DECIMAL": ((1, 38), (0, 18)),
    **dict.fromkeys(("BOOLEAN", "STRING"), ()),
    "VARCHAR": ((1, 65_535),),
    "CHAR": ((1, 255),),
    **dict.fromkeys(("BINARY", "DATE", "DATETIME", "TIMESTAMP", "TIMESTAMP_NTZ"), ()),
}
"""The types, each with the least and the greatest value of its parameters."""

_TYPE = re.compile(r"\s*([A-Za-z_]+)\s*(?:\(\s*([0-9]{1,5})\s*(?:,\s*([0-9]{1,5})\s*)?\))?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type; as text it has MaxCompute's form, such as DECIMAL(10,2)."""

    name: str
    parameters: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({','.join(map(str, self.parameters))})" if self.parameters else self.name


def parse(text: str) -> ColumnType:
    """Return the type that a text names, in upper or lower case; raises ValueError, which says what was expected."""
    match = _TYPE.fullmatch(text)
    name = match[1].upper() if match else ""
    if match is None or name not in PARAMETERS:
        raise ValueError(f"expected one of {', '.join(PARAMETERS)}")
    given, bounds = tuple(int(digits) for digits in match.groups()[1:] if digits), PARAMETERS[name]
    # DECIMAL may leave out its last parameter or both.
    if len(given) != len(bounds) and not (name == "DECIMAL" and len(given) < len(bounds)):
        raise ValueError(f"expected {name} with {len(bounds) or 'no'} parameter{'s' * (len(bounds) != 1)}")
    for value, (least, most) in zip(given, bounds, strict=False):
        if not least <= value <= most:
            raise ValueError(f"expected a parameter of {name} from {least} to {most}")
    if name == "DECIMAL" and given and given[-1] > given[0]:
        raise ValueError("expected DECIMAL with no more digits after the point than in all")
    return ColumnType(name, given)
