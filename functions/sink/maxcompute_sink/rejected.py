"""What can't become a row, with its reason: a record, or an element of the batch that is none."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fc_powertools import Metrics
    from kafka_maxcompute.offsets import TopicPartition
    from maxcompute_sink.records import AnyRecord

LOGGED_TOGETHER = 500
"""Rejected records of one reason that one log line names."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why something can't be written, and what it is.

    `place` and `offset` are where it is in the source topic, None where an element doesn't say it; `timestamp` is the
    record's as far as it's known. `record` is what was decoded, None where nothing could be;
    `element` is the JSON text then, and `after` counts the batch's good records before it.
    """

    error: RecordError
    place: TopicPartition | None
    offset: int | None
    timestamp: int | None = None
    record: AnyRecord | None = None
    element: bytes = b""
    after: int = 0

    @classmethod
    def of(cls, record: AnyRecord, reason: str, message: str, *, path: str, said: str = "") -> Rejected:
        """A decoded record that can't be written; `path` is that of the fault in the event.

        `said` is a service's own sentence, for the dead letter alone.
        """
        error = RecordError(reason, message, where=record.where, path=path, said=said)
        timestamp = record.timestamp if isinstance(record.timestamp, int) else None
        return cls(error, (record.topic, record.partition), record.offset, timestamp, record)


def log(rejected: Iterable[Rejected], metrics: Metrics) -> None:
    """Count what was rejected by its reason and name each in the log, those of one reason and path together."""
    alike: dict[tuple[str, str], list[RecordError]] = defaultdict(list)
    for one in rejected:
        alike[one.error.reason, one.error.path].append(one.error)
    for (reason, path), errors in alike.items():
        metrics.count(f"rejected:{reason}", sum(error.count for error in errors))
        for start in range(0, len(errors), LOGGED_TOGETHER):
            some = errors[start : start + LOGGED_TOGETHER]
            fields = {"reason": reason, "path": path, "first": some[0].message, "records": [one.where for one in some]}
            _log.error("records can't be written", extra=fields)
