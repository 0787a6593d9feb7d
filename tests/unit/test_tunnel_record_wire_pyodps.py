"""The record stream beside PyODPS's compiled reader and writer: each reads what the other wrote."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from odps.models import Record, TableSchema
from odps.tunnel.io.reader import TunnelRecordReader
from odps.tunnel.io.writer import BaseRecordWriter

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.tunnel import record_wire
from local_emulator.maxcompute.types import parse_type

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

# From the sixteenth column on a tag has two bytes.
TYPES = ["bigint", "string", "double", "boolean", "binary", "tinyint", "array<string>", "map<string,bigint>"]
FLAT = TYPES[:6]


def value_of(type_: str, chance: random.Random) -> Any:
    if chance.random() < 0.2:
        return None
    makers: dict[str, Callable[[], Any]] = {
        "bigint": lambda: chance.choice(
            [0, -1, chance.getrandbits(63), -chance.getrandbits(40), chance.getrandbits(7)]
        ),
        "tinyint": lambda: chance.randrange(-128, 128),
        "string": lambda: "中x" * chance.randrange(50),
        "binary": lambda: chance.randbytes(chance.randrange(20)),
        "double": lambda: chance.uniform(-1e9, 1e9),
        "boolean": lambda: chance.random() < 0.5,
        "array<string>": lambda: [chance.choice(["a", None]) for _ in range(chance.randrange(4))],
        "map<string,bigint>": lambda: {str(number): number or None for number in range(chance.randrange(4))},
    }
    return makers[type_]()


@pytest.mark.parametrize("types", [FLAT * 7, TYPES * 3, ["string"], ["bigint"]])
def test_pyodps_reads_what_is_written_and_the_reverse(types: list[str]) -> None:
    chance = random.Random(str(types))  # noqa: S311 - rows, not secrets
    names = [f"c{number}" for number in range(len(types))]
    rows = [[value_of(type_, chance) for type_ in types] for _ in range(300)]
    schema = TableSchema.from_lists(names, types)
    columns = [Column(name, parse_type(type_)) for name, type_ in zip(names, types, strict=True)]
    body = io.BytesIO()
    writer = BaseRecordWriter(schema, body)
    for row in rows:
        writer.write(Record(schema=schema, values=row))
    writer.close()

    batches = list(record_wire.decode(body.getvalue(), columns))
    found = [list(row.values()) for batch in batches for row in batch.to_pylist(maps_as_pydicts="strict")]
    assert found == rows

    written = b"".join(record_wire.encode(batches, columns))
    reader = TunnelRecordReader(schema, lambda *_, **__: io.BytesIO(written))
    assert [record.values for record in reader] == rows
    assert pa.Table.from_batches(record_wire.decode(written, columns)).equals(pa.Table.from_batches(batches))
