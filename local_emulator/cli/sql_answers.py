"""SQL on the local MaxCompute with PyODPS, and its answers as text."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from odps import ODPS, options
from odps.errors import InstanceTypeNotSupported, ObjectAlreadyExists

from local_emulator.cli.text_table import draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from local_emulator.endpoints import Endpoints

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)')
_NUMBERS: dict[str, Callable[[str], object]] = dict.fromkeys(("tinyint", "smallint", "int", "bigint"), int)
_NUMBERS |= dict.fromkeys(("float", "double"), float)


class StatementError(Exception):
    """A statement that no request can hold."""


def connect(at: Endpoints) -> ODPS:
    """A client of the running cloud's project."""
    return client(at.access_id, at.access_key, at.project, at.maxcompute, at.tunnel)


def client(access_id: str, access_key: str, project: str, endpoint: str, tunnel_endpoint: str) -> ODPS:
    """A client that says nothing by itself, and leaves other clients of this process what they have."""
    options.verbose = False
    return ODPS(
        access_id,
        access_key,
        project=project,
        endpoint=endpoint,
        tunnel_endpoint=tunnel_endpoint,
        logview_host=endpoint,
        # By default PyODPS makes these addresses those of every client made after this one that doesn't name its own.
        overwrite_global=False,
    )


def admit(owner: ODPS, statements: Iterable[str]) -> None:
    """Run the owner's statements that let somebody into the project; who is in it already stays."""
    for statement in statements:
        with contextlib.suppress(ObjectAlreadyExists):  # from an earlier run, where the tables are kept
            owner.execute_security_query(statement)


def run(project: ODPS, statement: str) -> Iterator[str]:
    """Run one statement; the lines that MaxCompute's command line client would print. Raises odps.errors.ODPSError.

    Raises `StatementError` for a statement with characters that XML doesn't have.

    Values are read as the service's own text, which has times in the zone that the statement computes in. PyODPS would
    show them in this machine's zone, refuses those before 1928, and needs pandas for TIMESTAMP.
    """
    if found := _NOT_XML.search(statement):
        sign = f"U+{ord(found[0]):04X} at character {found.start() + 1}"
        raise StatementError(f"expected a statement of text, found {sign}, which the service's requests can't hold")
    instance = project.execute_sql(statement)
    try:
        reader = instance.open_reader(tunnel=True)
    except InstanceTypeNotSupported:  # what isn't a query answers with text
        with instance.open_reader(tunnel=False) as text:
            yield from str(text.raw).splitlines()
        yield ""
        yield "OK"
        return
    with reader:
        columns, count = reader.schema.columns, reader.count
    # By a reader of text, PyODPS refuses columns of BINARY.
    (task,) = instance.get_task_names()
    _, *rows = _cells(instance.get_task_result(task), len(columns))
    types = [str(column.type).lower() for column in columns]
    shown = [[_value(cell, type_) for cell, type_ in zip(row, types, strict=True)] for row in rows]
    yield from draw([column.name for column in columns], shown)
    if count > len(rows):
        yield f"the first {len(rows):,} of {count:,} rows"


def _cells(text: str, width: int) -> list[list[str | None]]:
    r"""Lines of so many cells of the service's CSV; NULL is `\N` without quotes."""
    found = [None if plain == "\\N" else plain or quoted.replace('""', '"') for quoted, plain, _ in _CELL.findall(text)]
    return [found[start : start + width] for start in range(0, len(found), width)]


def _value(cell: str | None, type_: str) -> object:
    """A cell as `draw` takes it: numbers get their own width."""
    if cell is None or type_ not in _NUMBERS:
        return cell
    return _NUMBERS[type_](cell)
