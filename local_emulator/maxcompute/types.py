"""MaxCompute's data types: their text, and the Arrow and DuckDB types that hold their values.

Each type has its own DuckDB type, except that char, varchar and string share VARCHAR. So DuckDB's answer alone
determines the type of a query's column. TIMESTAMP and TIMESTAMP_NTZ are nanoseconds in 64 bits, from 1677 to 2262.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

_ARROW = MappingProxyType(
    {
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "varchar": pa.string(),
        "char": pa.string(),
        "json": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "datetime": pa.timestamp("ms", "UTC"),
        "timestamp": pa.timestamp("ns", "UTC"),
        "timestamp_ntz": pa.timestamp("ns"),
    }
)
_DUCKDB = MappingProxyType(
    {
        "tinyint": "TINYINT",
        "smallint": "SMALLINT",
        "int": "INTEGER",
        "bigint": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "string": "VARCHAR",
        "varchar": "VARCHAR",
        "char": "VARCHAR",
        "json": "JSON",
        "binary": "BLOB",
        "date": "DATE",
        "datetime": "TIMESTAMP WITH TIME ZONE",
        "timestamp": "TIMESTAMPTZ_NS",
        "timestamp_ntz": "TIMESTAMP_NS",
    }
)
# (lowest, highest) of each argument, from the service's documentation.
_BOUNDS = MappingProxyType({"decimal": ((1, 38), (0, 18)), "varchar": ((1, 65535),), "char": ((1, 255),)})
_DECIMAL_DEFAULT = (38, 18)
# DuckDB has nanoseconds with a time zone from 2.0 on, which needs Python 3.11; fewer digits would lose data.
_MISSING = frozenset({"timestamp"}) if int(duckdb.__version__.split(".", maxsplit=1)[0]) < 2 else frozenset()  # noqa: PLR2004
_NESTED = frozenset({"array", "map", "struct"})
_PARTITION = frozenset({"tinyint", "smallint", "int", "bigint", "string", "varchar", "char", "date"})
_TOKEN = re.compile(r"\s*(?:(\d+)|`((?:[^`]|``)+)`|([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)|'([^']*)'|([<>(),:]))")
BIGINT_RANGE = (-(2**63) + 1, 2**63 - 1)
"""The service's pages disagree on whether -2**63 is a BIGINT; the emulator accepts what all of them allow."""
T = TypeVar("T")
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


class TypeSyntaxError(ValueError):
    """A text that isn't a MaxCompute type; the message says where the fault is and what was expected."""


@dataclass(frozen=True, slots=True)
class DataType:
    """One type; ``elements``: an array's item, a map's key and value, a struct's fields (named by ``fields``)."""

    name: str
    arguments: tuple[int, ...] = ()
    elements: tuple[DataType, ...] = ()
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.name == "struct":
            inner = ",".join(
                f"{_quoted(field)}:{type_}" for field, type_ in zip(self.fields, self.elements, strict=True)
            )
            return f"struct<{inner}>"
        if self.elements:
            return f"{self.name}<{','.join(map(str, self.elements))}>"
        return f"{self.name}({','.join(map(str, self.arguments))})" if self.arguments else self.name

    def arrow_type(self) -> pa.DataType:
        """Return the emulator's inner Arrow type; a Tunnel format may use another type."""
        if self.name == "decimal":
            return pa.decimal128(*self.arguments)
        inner = [element.arrow_type() for element in self.elements]
        if self.name == "array":
            return pa.list_(inner[0])
        if self.name == "map":
            return pa.map_(*inner)
        if self.name == "struct":
            return pa.struct(list(zip(self.fields, inner, strict=True)))
        return _ARROW[self.name]

    def duckdb_type(self) -> str:
        """Return the type in DuckDB's SQL."""
        if self.name == "decimal":
            return "DECIMAL({},{})".format(*self.arguments)
        inner = [element.duckdb_type() for element in self.elements]
        if self.name == "array":
            return f"{inner[0]}[]"
        if self.name == "map":
            return f"MAP({inner[0]}, {inner[1]})"
        if self.name == "struct":
            pairs = zip(self.fields, inner, strict=True)
            return "STRUCT({})".format(", ".join(f"{quoted(field)} {type_}" for field, type_ in pairs))
        return _DUCKDB[self.name]

    def require(self) -> None:
        """Raise TypeSyntaxError, which says what to do, if this DuckDB can't hold the type."""
        if self.name in _MISSING:
            raise TypeSyntaxError(f"{self.name.upper()} needs DuckDB 2: run the emulator with Python 3.11 or newer")
        for element in self.elements:
            element.require()

    @property
    def can_partition(self) -> bool:
        """Whether a partition column may have this type."""
        return self.name in _PARTITION


def quoted(name: str) -> str:
    """Return an identifier in DuckDB's SQL."""
    return '"' + name.replace('"', '""') + '"'


def parse_type(text: str) -> DataType:
    """Return the type in a text such as ``decimal(10,2)`` or ``map<string,bigint>``; else TypeSyntaxError."""
    parser = _Parser(text)
    type_ = parser.type()
    parser.end()
    return type_


def parse_type_at(text: str, offset: int) -> tuple[DataType, int]:
    """Return the type that begins at an offset of a text, and the offset behind the type."""
    parser = _Parser(text, offset)
    return parser.type(), parser.at


def simple(name: str) -> DataType:
    """Return the type of a lower-case name without arguments (decimal: with the default arguments)."""
    return DataType(name, _DECIMAL_DEFAULT) if name == "decimal" else DataType(name)


STRING, BIGINT, DOUBLE, BOOLEAN = simple("string"), simple("bigint"), simple("double"), simple("boolean")


def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.match(name) else f"`{name.replace('`', '``')}`"


class _Parser:
    """Recursive descent over the tokens of one type's text."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text = text
        self.at = at

    def type(self) -> DataType:
        name = self._word().lower()
        if name == "array":
            return DataType(name, elements=self._between("<", ">", self.type, 1))
        if name == "map":
            return DataType(name, elements=self._between("<", ">", self.type, 2))
        if name == "struct":
            pairs = self._between("<", ">", self._field)
            fields = tuple(field for field, _ in pairs)
            if len({field.lower() for field in fields}) < len(fields):
                raise self._fault("each field name once")
            return DataType(name, elements=tuple(type_ for _, type_ in pairs), fields=fields)
        if name in _BOUNDS:
            return DataType(name, self._arguments(name))
        if name in _ARROW:
            return DataType(name)
        raise self._fault(f"a type (one of {', '.join(sorted({*_ARROW, *_BOUNDS, *_NESTED}))})", name)

    def end(self) -> None:
        if self._text[self.at :].strip():
            raise self._fault("the end")

    def _arguments(self, name: str) -> tuple[int, ...]:
        bounds = _BOUNDS[name]
        if name == "decimal":
            if self._peek() != "(":
                return _DECIMAL_DEFAULT
            arguments = self._between("(", ")", self._number)
            arguments = arguments if len(arguments) > 1 else (*arguments, 0)
        else:
            arguments = self._between("(", ")", self._number, 1)
        if len(arguments) != len(bounds) or not all(
            low <= n <= high for n, (low, high) in zip(arguments, bounds, strict=True)
        ):
            allowed = ", ".join(f"{low} to {high}" for low, high in bounds)
            raise self._fault(f"{name}'s arguments within {allowed}", str(arguments))
        return arguments

    def _field(self) -> tuple[str, DataType]:
        name = self._word()
        self._expect(":")
        type_ = self.type()
        if (self._peek() or "").lower() == "comment":
            self._next()
            self._next()
        return name, type_

    def _between(self, opening: str, closing: str, item: Callable[[], T], count: int = 0) -> tuple[T, ...]:
        self._expect(opening)
        items = [item()]
        while self._peek() == ",":
            self._next()
            items.append(item())
        self._expect(closing)
        if count and len(items) != count:
            raise self._fault(f"{count} between {opening} and {closing}", str(len(items)))
        return tuple(items)

    def _number(self) -> int:
        token = self._next()
        if not token.isdecimal():
            raise self._fault("a number", token)
        return int(token)

    def _word(self) -> str:
        match = _TOKEN.match(self._text, self.at)
        if not match or not (match[2] or match[3]):
            raise self._fault("a name")
        self.at = match.end()
        return str(match[2].replace("``", "`") if match[2] else match[3])

    def _expect(self, symbol: str) -> None:
        if self._peek() != symbol:
            raise self._fault(f"'{symbol}'")
        self._next()

    def _peek(self) -> str | None:
        match = _TOKEN.match(self._text, self.at)
        return next(group for group in match.groups() if group is not None) if match else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise self._fault("more")
        match = _TOKEN.match(self._text, self.at)
        self.at = match.end() if match else self.at
        return token

    def _fault(self, expected: str, found: str | None = None) -> TypeSyntaxError:
        found = self._text[self.at : self.at + 20] or "the end" if found is None else found
        return TypeSyntaxError(f"expected {expected} at character {self.at + 1} of {self._text!r}, found {found}")
