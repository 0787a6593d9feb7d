"""Tunnel's two formats of rows with the same interface: from a body to record batches, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from local_emulator.maxcompute.tunnel import arrow_wire, compression, record_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from local_emulator.maxcompute.entities import Column


@dataclass(frozen=True, slots=True)
class Wire:
    """A format (Arrow or records) and the name of a compression ("" for none)."""

    arrow: bool
    encoding: str

    def decode(self, body: bytes, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a body, valid only if the last batch is reached; ServiceError as the formats raise it."""
        plain = compression.decompress(body, self.encoding)
        if self.arrow:
            schema = pa.schema([(column.name, column.type.arrow_type()) for column in columns])
            return arrow_wire.decode(plain, schema)
        return record_wire.decode(plain, columns)

    def encode(self, batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[bytes]:
        """Yield a whole body of rows, in pieces of some megabytes."""
        pieces = arrow_wire.encode(batches) if self.arrow else record_wire.encode(batches, columns)
        return compression.compressed(pieces, self.encoding)


def sent_wire(query: Mapping[str, str], headers: Mapping[str, str]) -> Wire:
    """Return the wire of a request's body; ServiceError NotImplemented for an unknown compression."""
    encoding = headers.get("Content-Encoding", "")
    compression.algorithm(encoding)
    return Wire("arrow" in query, encoding)


def wanted_wire(query: Mapping[str, str], headers: Mapping[str, str]) -> Wire:
    """Return the wire that a client wants for the answer."""
    return Wire("arrow" in query, compression.accepted(headers.get("Accept-Encoding", "")))
