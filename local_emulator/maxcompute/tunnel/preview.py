"""A table's first rows as an Arrow stream, with timestamps as pairs, as in the service's previews and results."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa

from local_emulator.maxcompute.tunnel.cells import padded
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.record_columns import split_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.store import Store

MOST_ROWS = 10_000  # the service's number of rows without a limit, and the highest limit
_CODECS = {"ZSTD": "zstd", "LZ4_FRAME": "lz4"}
_TIMESTAMPS = frozenset({"timestamp", "timestamp_ntz"})
_PAIR = pa.struct([("sec", pa.int64()), ("nano", pa.int32())])


def preview(
    store: Store, table: Table, spec: tuple[str, ...], *, names: Sequence[str], limit: int, accepted: str
) -> bytes:
    """Return the first rows as a stream.

    Args:
        store: the emulator's state.
        table: the table.
        spec: one partition, or () for the whole table.
        names: column names, also of partition columns. Without names: the table's columns, for the whole table also
            the partition columns.
        limit: how many rows; negative: `MOST_ROWS`.
        accepted: a compression for Arrow's buffers, as in Accept-Encoding.
    """
    by_name = {name: table.column(name) for name in names or _names(table, spec)}
    columns = [column for column in by_name.values() if column is not None]
    unknown = [name for name, column in by_name.items() if column is None]
    if unknown:
        raise tunnel_error("InvalidColumnSpec", f"{table.name} has no column {', '.join(unknown)}.")
    if spec:
        store.partition(table, spec)
    count = MOST_ROWS if limit < 0 else min(limit, MOST_ROWS)
    with store.snapshot(table) as snapshot:
        rows = snapshot.read(spec or None, list(by_name), 0, count)
    batches = [timestamps_as_structs(batch) for batch in padded(rows.to_batches(), columns)]
    schema = timestamps_as_structs(pa.RecordBatch.from_pylist([], schema=rows.schema)).schema
    options = pa.ipc.IpcWriteOptions(compression=_CODECS.get(accepted.strip().upper()))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def _names(table: Table, spec: tuple[str, ...]) -> list[str]:
    """Return the default columns' names; PyODPS 0.13.2 can't read partition columns beside timestamps."""
    alone = spec or any(column.type.name in _TIMESTAMPS for column in table.columns)
    return [column.name for column in (table.columns if alone else table.all_columns)]


def timestamps_as_structs(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with nanosecond timestamps as pairs of seconds and nanoseconds."""
    arrays = [
        _pairs(values) if pa.types.is_timestamp(values.type) and values.type.unit == "ns" else values
        for values in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _pairs(values: pa.TimestampArray) -> pa.StructArray:
    whole = values.view(pa.int64())
    seconds, nanos = split_seconds(whole)
    return pa.StructArray.from_arrays(
        [seconds, nanos.cast(pa.int32())], fields=list(_PAIR), mask=values.is_null() if values.null_count else None
    )
