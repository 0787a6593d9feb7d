"""Rows of any type come back from each of Tunnel's wires as they went in."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel import arrow_wire, compression, record_rows, record_wire
from local_emulator.maxcompute.tunnel.wires import Wire
from local_emulator.maxcompute.types import BIGINT, STRING
from tests.tunnel_rows import FLAT, tables

pytestmark = pytest.mark.quick
ENCODINGS = ["", "deflate", "gzip", "zstd", "x-lz4-frame", "x-odps-lz4-frame", "x-snappy-framed"]


def joined(batches: list[pa.RecordBatch], like: pa.RecordBatch) -> pa.RecordBatch:
    return pa.Table.from_batches(batches, schema=like.schema).combine_chunks()


@given(tables(), st.booleans(), st.sampled_from(ENCODINGS))
@settings(deadline=None, max_examples=3 * settings().max_examples)
def test_rows_survive_both_wires_in_every_compression(
    table: tuple[tuple[Column, ...], pa.RecordBatch], arrow: bool, encoding: str
) -> None:
    columns, batch = table
    wire = Wire(arrow, encoding)
    body = b"".join(wire.encode([batch.slice(0, 7), batch.slice(7)], columns))
    assert joined(list(wire.decode(body, columns)), batch).equals(pa.Table.from_batches([batch]))


@given(tables(FLAT))
@settings(deadline=None, max_examples=2 * settings().max_examples)
def test_the_kernels_write_the_bytes_that_the_row_writer_writes(
    table: tuple[tuple[Column, ...], pa.RecordBatch],
) -> None:
    columns, batch = table
    body = b"".join(record_wire.encode([batch], columns))
    rows, checksums = record_rows.write_rows(batch.columns, columns, batch.num_rows)
    assert body.startswith(rows)
    arrays, found, at = record_rows.read_rows(body, 0, columns, batch.num_rows + 1)
    assert (found, at) == (checksums, len(rows))
    assert pa.RecordBatch.from_arrays(arrays, names=batch.schema.names).equals(batch)


# Of nested types the counts and the marks of null aren't covered by the service's checksums.
@given(tables(FLAT, most_rows=8), st.booleans(), st.data())
@settings(deadline=None, max_examples=3 * settings().max_examples)
def test_a_body_cut_short_or_with_one_wrong_bit_is_refused(
    table: tuple[tuple[Column, ...], pa.RecordBatch], arrow: bool, data: st.DataObject
) -> None:
    columns, batch = table
    wire = Wire(arrow, "")
    body = b"".join(wire.encode([batch], columns))
    cut = body[: data.draw(st.integers(0, len(body) - 1), label="cut")]
    bit = data.draw(st.integers(0, len(body) * 8 - 1), label="bit")
    wrong = bytearray(body)
    wrong[bit // 8] ^= 1 << bit % 8
    for bad in (cut, bytes(wrong), body + b"\x00"):
        # A stream of nothing may be four zeros, and the chunk size of a small stream is its writer's choice.
        if arrow and (bad == bytes(4) or bad[4:] == body[4:]):
            continue
        with pytest.raises(ServiceError) as refusal:
            list(wire.decode(bad, columns))
        assert refusal.value.code in {"MalformedDataStream", "CorruptedDataStream"}


@given(st.binary(max_size=200), st.sampled_from(ENCODINGS))
@settings(deadline=None, max_examples=2 * settings().max_examples)
def test_any_bytes_are_read_or_refused_in_the_services_words(body: bytes, encoding: str) -> None:
    columns = (Column("a", STRING), Column("b", BIGINT))
    for arrow in (False, True):
        with suppress(ServiceError):
            list(Wire(arrow, encoding).decode(body, columns))


@given(st.binary(max_size=300), st.sampled_from(ENCODINGS[1:]))
@settings(deadline=None)
def test_a_compressed_body_never_unfolds_beyond_its_bound(body: bytes, encoding: str) -> None:
    packed = compression.compress(body * 50, encoding)
    assert compression.decompress(packed, encoding) == body * 50
    if body:
        with pytest.raises(ServiceError, match="MaxMessageLengthExceeded"):
            compression.decompress(packed, encoding, most=len(body) * 50 - 1)


def test_arrow_wires_chunks_hold_when_the_data_fills_the_last_one() -> None:
    schema = pa.schema([("a", pa.binary())])
    for extra in range(-20, 20):
        batch = pa.RecordBatch.from_arrays(
            [pa.array([b"x" * (arrow_wire.CHUNK_BYTES + extra)], pa.binary())], schema=schema
        )
        body = b"".join(arrow_wire.encode([batch]))
        assert joined(list(arrow_wire.decode(body, schema)), batch).equals(pa.Table.from_batches([batch]))
