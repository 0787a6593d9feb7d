"""The rows of upsert sessions: a table's columns and five more, which say what each row does to its key.

Both SDKs append these five columns: ``__version`` and ``__app_version``, which are empty; ``__operation``, the code of
the letter U or D; ``__key_cols``, empty; ``__value_cols``, the numbers of the columns to set if only a part of the row
is replaced.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.rows import DELETED
from local_emulator.maxcompute.tunnel.cells import checked
from local_emulator.maxcompute.tunnel.errors import malformed, tunnel_error
from local_emulator.maxcompute.types import parse_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.tunnel.wires import Wire

EXTRA_COLUMNS = tuple(
    Column(name, parse_type(text))
    for name, text in (
        ("__version", "bigint"),
        ("__app_version", "bigint"),
        ("__operation", "tinyint"),
        ("__key_cols", "array<bigint>"),
        ("__value_cols", "array<bigint>"),
    )
)
UPSERT, DELETE = ord("U"), ord("D")


def changes(body: bytes, wire: Wire, table: Table) -> Iterator[pa.RecordBatch]:
    """Yield a pack's rows as changes by key, for `Store.upsert`; valid only if no batch raises ServiceError."""
    # In a deletion only the key's columns matter; the others may be NULL.
    own = [replace(column, nullable=column.name not in table.primary_key) for column in table.columns]
    columns = [*own, *EXTRA_COLUMNS]
    for batch in checked(wire.decode(body, columns), columns):
        _, _, operation, _, value_columns = batch.columns[len(own) :]
        if not pc.all(pc.is_in(operation, pa.array([UPSERT, DELETE], operation.type))).as_py():
            raise malformed(f"Column '__operation' has to be {UPSERT} (U) or {DELETE} (D) in each record.")
        if pc.max(pc.list_value_length(value_columns)).as_py():
            raise tunnel_error("NotImplemented", "Rows that set some columns only are not emulated.")
        deleted = pc.equal(operation, DELETE)
        for column, values in zip(table.columns, batch.columns, strict=False):
            if not column.nullable and pc.any(pc.and_not(values.is_null(), deleted)).as_py():
                raise malformed(f"Column '{column.name}' is NOT NULL; a null was found.")
        yield pa.RecordBatch.from_arrays(
            [*batch.columns[: len(own)], deleted], names=[*(column.name for column in own), DELETED]
        )


def schema(table: Table) -> pa.Schema:
    """Return the schema of `changes`."""
    return table.arrow_schema().append(pa.field(DELETED, pa.bool_()))
