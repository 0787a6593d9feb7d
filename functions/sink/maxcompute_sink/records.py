"""Kafka records as EventBridge delivers them: one msgspec Struct for each way in which a value can travel.

Only the fields that a row needs are declared, so that the decoder skips the rest (headers among them, whose shape
isn't documented). `gc=False`: a batch is some ten thousand of these, they hold no references to each other, and the
cycle collector would walk them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeGuard

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTITIONS, OFFSETS = range(2**31), range(2**63)
"""Kafka's partition is an int32, its offset an int64, as its timestamp; the first two become BIGINT."""

_Partition: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=PARTITIONS[-1])]
_Offset: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=OFFSETS[-1])]
_Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

if TYPE_CHECKING:
    _Text: TypeAlias = str | bytes | None
    _Json: TypeAlias = msgspec.Raw | bytes
else:
    # What the decoder makes of an event. The bytes come later, from `replaced_text`.
    _Text, _Json = str | None, msgspec.Raw


class Record(msgspec.Struct, gc=False):
    """What is common to all records.

    `timestamp` is milliseconds since the epoch; documents say string, samples show a number, so both are read. An
    absent key or value and a JSON null are the same (Kafka's null); an empty string is another thing. If a text
    stands for bytes that aren't UTF-8, `replaced_text` puts these bytes in its place.
    """

    topic: str
    partition: _Partition
    offset: _Offset
    timestamp: _Milliseconds | str | None = None
    key: _Text = None

    @property
    def where(self) -> str:
        """topic-partition-offset, the name of the record in messages."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class TextRecord(Record, gc=False):
    """The value is a string (the stream's value type Text)."""

    value: _Text = None


class JsonRecord(Record, gc=False):
    """The value is JSON of any kind (value type Json).

    It stays the text it was: parsing and printing it again could change numbers and the order of keys.
    """

    value: _Json = msgspec.Raw(b"")


class BinaryRecord(Record, gc=False):
    """The value is base64 (value type Binary); the decoder turns it into bytes."""

    value: bytes | None = None


AnyRecord: TypeAlias = TextRecord | JsonRecord | BinaryRecord
"""A record of some value type; those of a batch are of one."""

RECORD_TYPES: dict[str, type[AnyRecord]] = {
    "Text": TextRecord,
    "Json": JsonRecord,
    "Binary": BinaryRecord,
}


def are_json(records: Sequence[AnyRecord]) -> TypeGuard[Sequence[JsonRecord]]:
    """Whether records of one batch are of value type Json; their first tells it."""
    return bool(records) and isinstance(records[0], JsonRecord)
