"""Groups records by partition value, which depends on a record's time: `pt` of the connector document.

A partition value is a text such as `11-17-2020 14`, made once for each slot of time. A slot is a minute if partitions
are minutes, else five minutes: every zone's distance from UTC has been a multiple of five minutes since 1972 (of a
quarter of an hour, except for one island until 1979). Only times within the allowed range are passed to `datetime`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute.partition_value import EPOCH, partition_value
from maxcompute_sink.rejected import Rejected

if TYPE_CHECKING:
    from datetime import tzinfo

    from maxcompute_sink.records import AnyRecord

ABSENT = "timestamp-absent"
"""The reason of records without a time (null, absent, or Kafka's own -1)."""
ABSURD = "timestamp-out-of-range"
"""The reason of records whose time is outside of the range that the settings allow."""

_SLOT, _SLOT_OF_MINUTES = 300_000, 60_000  # milliseconds
_NO_TIMESTAMP = -1


@dataclass(frozen=True, slots=True)
class Partitioned:
    """Records by partition value, in the order of the batch, and a rejection for each record without a value."""

    by_value: dict[str, list[AnyRecord]]
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class Partitioner:
    """Groups records: `window` is DAY, HOUR or MINUTE; `names` is "document" or "iso"; `zone` is that of the names."""

    window: str
    names: str
    zone: tzinfo

    def group(self, records: list[AnyRecord], *, earliest: int, latest: int) -> Partitioned:
        """Group records by the partition value of their time.

        `earliest` and `latest` (milliseconds since 1970, both included, within the years 1972 to 9998) bound the
        accepted times. The records' timestamps are numbers or None.
        """
        times = _times(records)
        rejected: list[Rejected] = []
        if len(times) != len(records) or (times and (min(times) < earliest or max(times) > latest)):
            faults = [_fault(record, earliest, latest) for record in records]
            rejected = [fault for fault in faults if fault is not None]
            records = [record for record, fault in zip(records, faults, strict=True) if fault is None]
            times = _times(records)
        width = _SLOT_OF_MINUTES if self.window == "MINUTE" else _SLOT
        value_of = {
            slot: partition_value(slot * width, self.window, self.names, self.zone)
            for slot in {time // width for time in times}
        }
        by_value: dict[str, list[AnyRecord]] = {value: [] for value in sorted(set(value_of.values()))}
        if len(by_value) == 1:
            by_value = dict.fromkeys(by_value, records)
        else:
            add = {slot: by_value[value].append for slot, value in value_of.items()}
            for record, time in zip(records, times, strict=True):
                add[time // width](record)
        return Partitioned(by_value, rejected)


def _times(records: list[AnyRecord]) -> list[int]:
    """Return the times of the records that have a time."""
    return [time for record in records if isinstance(time := record.timestamp, int)]


def _fault(record: AnyRecord, earliest: int, latest: int) -> Rejected | None:
    """Return a rejection if a record's time gives no partition value, else None."""
    time, path = record.timestamp, "$.data.timestamp"
    if not isinstance(time, int) or time == _NO_TIMESTAMP:
        absent = "-1, which is Kafka's value for none" if time == _NO_TIMESTAMP else "none"
        message = f"expected milliseconds since 1970, found {absent}; make the producer set the record's time"
        return Rejected.of(record, ABSENT, message, path=path)
    if earliest <= time <= latest:
        return None
    first, last = (EPOCH + timedelta(milliseconds=bound) for bound in (earliest, latest))
    message = (
        f"expected a time from {first} to {last}, found {time} ms since 1970; fix the producer's clock or the settings"
    )
    return Rejected.of(record, ABSURD, message, path=path)
