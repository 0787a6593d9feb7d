"""Runs SQL on the local MaxCompute with PyODPS, and writes the answers as text."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from odps import ODPS, options
from odps.errors import InstanceTypeNotSupported, ObjectAlreadyExists

from local_emulator.cli.text_table import draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from local_emulator.endpoints import Endpoints

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)')
_NUMBERS: dict[str, Callable[[str], object]] = dict.fromkeys(("tinyint", "smallint", "int", "bigint"), int)
_NUMBERS |= dict.fromkeys(("float", "double"), float)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a statement: text, or a query's rows. `count` is the number of all rows, of which it has the first.

    `columns` has names and types in lower case. A value is None, a number, or the service's text.
    """

    text: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    rows: Sequence[Sequence[object]] = ()
    count: int | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines that MaxCompute's command line client would print."""
        if self.count is None:
            yield from self.text.splitlines()
            yield ""
            yield "OK"
            return
        yield from draw([name for name, _ in self.columns], self.rows)
        if self.count > len(self.rows):
            yield f"the first {len(self.rows):,} of {self.count:,} rows"

    def as_json(self) -> dict[str, Any]:
        """Return the answer as a JSON object."""
        if self.count is None:
            return {"text": self.text}
        return {
            "columns": [{"name": name, "type": type_} for name, type_ in self.columns],
            "rows": [[_json_value(value) for value in row] for row in self.rows],
            "count": self.count,
        }


class StatementError(Exception):
    """A statement with characters that no request can hold."""


def connect(at: Endpoints) -> ODPS:
    """Return a client of the running cloud's project."""
    return client(at.access_id, at.access_key, at.project, at.maxcompute, at.tunnel)


def client(access_id: str, access_key: str, project: str, endpoint: str, tunnel_endpoint: str) -> ODPS:
    """Return a client that prints nothing and doesn't change the settings of other clients in this process."""
    options.verbose = False
    return ODPS(
        access_id,
        access_key,
        project=project,
        endpoint=endpoint,
        tunnel_endpoint=tunnel_endpoint,
        logview_host=endpoint,
        # By default PyODPS would use these addresses for every later client that gets none of its own.
        overwrite_global=False,
    )


def admit(owner: ODPS, statements: Iterable[str]) -> None:
    """Run the owner's statements that add users to the project; a user that was added before stays."""
    for statement in statements:
        with contextlib.suppress(ObjectAlreadyExists):  # added by an earlier run with the same --data-dir
            owner.execute_security_query(statement)


def run(project: ODPS, statement: str) -> Iterator[str]:
    """Run one statement; yield the lines of its answer, see `ask`."""
    yield from ask(project, statement).lines()


def ask(project: ODPS, statement: str) -> Answer:
    """Run one statement and return its answer.

    Raises odps.errors.ODPSError, and `StatementError` for a statement with characters that XML doesn't allow.

    Values are read as the service's own text, which has times in the time zone of the statement. PyODPS would
    show times in this machine's zone, refuses times before 1928, and needs pandas for TIMESTAMP.
    """
    if match := _NOT_XML.search(statement):
        character = f"U+{ord(match[0]):04X} at character {match.start() + 1}"
        raise StatementError(
            f"expected a statement of text, found {character}, which a request to the service can't hold"
        )
    instance = project.execute_sql(statement)
    try:
        reader = instance.open_reader(tunnel=True)
    except InstanceTypeNotSupported:  # a statement that isn't a query is answered with text
        with instance.open_reader(tunnel=False) as text:
            return Answer(text=str(text.raw))
    with reader:
        columns, count = reader.schema.columns, reader.count
    # PyODPS's reader of text refuses columns of BINARY.
    (task,) = instance.get_task_names()
    _, *rows = _cells(instance.get_task_result(task), len(columns))
    types = [str(column.type).lower() for column in columns]
    values = [[_value(cell, type_) for cell, type_ in zip(row, types, strict=True)] for row in rows]
    names = [column.name for column in columns]
    return Answer(columns=tuple(zip(names, types, strict=True)), rows=values, count=count)


def _cells(text: str, width: int) -> list[list[str | None]]:
    r"""Return the rows, `width` cells each, of the service's CSV; NULL is `\N` without quotes."""
    cells = [None if plain == "\\N" else plain or quoted.replace('""', '"') for quoted, plain, _ in _CELL.findall(text)]
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def _value(cell: str | None, type_: str) -> object:
    """Return a cell as `draw` takes it: a number's text as a number, because numbers have a width of their own."""
    if cell is None or type_ not in _NUMBERS:
        return cell
    return _NUMBERS[type_](cell)


def _json_value(value: object) -> object:
    """Return a value as JSON can have it: NaN and infinities as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
