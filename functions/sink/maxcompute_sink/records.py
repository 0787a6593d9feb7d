"""Kafka records as EventBridge delivers them: a msgspec Struct for each value type.

Only the fields that a row needs are declared, so that the decoder skips all others (such as headers, whose shape isn't
documented). With `gc=False`, the cycle collector skips the records: a batch has some ten thousand of them, and they
hold no references to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeGuard

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTITIONS, OFFSETS = range(2**31), range(2**63)
"""Kafka's partition is an int32, its offset and timestamp are int64; partition and offset become BIGINT."""

_Partition: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=PARTITIONS[-1])]
_Offset: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=OFFSETS[-1])]
_Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

if TYPE_CHECKING:
    _Text: TypeAlias = str | bytes | None
    _Json: TypeAlias = msgspec.Raw | bytes
else:
    # The types that the decoder produces; `replaced_text` sets bytes later.
    _Text, _Json = str | None, msgspec.Raw


class Record(msgspec.Struct, gc=False):
    """The fields that all records have.

    `timestamp` is in milliseconds since the epoch; documents say string, samples show a number, so both are read. An
    absent key or value and a JSON null both stand for Kafka's null; an empty string doesn't. If a text stands for bytes
    that aren't UTF-8, `replaced_text` replaces it with these bytes.
    """

    topic: str
    partition: _Partition
    offset: _Offset
    timestamp: _Milliseconds | str | None = None
    key: _Text = None

    @property
    def where(self) -> str:
        """The record's name in messages: topic-partition-offset."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class TextRecord(Record, gc=False):
    """The value is a string (the stream's value type Text)."""

    value: _Text = None


class JsonRecord(Record, gc=False):
    """The value is JSON of any kind (value type Json).

    The value is kept as text: parsing and printing it again could change numbers and the order of keys.
    """

    value: _Json = msgspec.Raw(b"")


class BinaryRecord(Record, gc=False):
    """The value is base64 (value type Binary); the decoder turns it into bytes."""

    value: bytes | None = None


AnyRecord: TypeAlias = TextRecord | JsonRecord | BinaryRecord
"""A record of any value type; all records of a batch have the same value type."""

RECORD_TYPES: dict[str, type[AnyRecord]] = {
    "Text": TextRecord,
    "Json": JsonRecord,
    "Binary": BinaryRecord,
}


def are_json(records: Sequence[AnyRecord]) -> TypeGuard[Sequence[JsonRecord]]:
    """Return whether the records of a batch are of value type Json; only the first record is checked."""
    return bool(records) and isinstance(records[0], JsonRecord)
