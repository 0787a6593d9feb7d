"""Records and elements of a batch that can't become rows, with the reason."""

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
"""The most rejected records that one log line names."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record or element that can't be written, and why.

    `place` and `offset` are its topic-partition and offset in the source topic, None if the element doesn't say them.
    `timestamp` is the record's, None if it isn't known. `record` is the decoded record, None if the element couldn't be
    decoded; then `element` is its JSON text, and `after` counts the batch's good records before it.
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
        """Reject a decoded record; `path` is the JSON path of the fault in the event.

        `said` is a service's own sentence; only the dead letter has it.
        """
        error = RecordError(reason, message, where=record.where, path=path, said=said)
        timestamp = record.timestamp if isinstance(record.timestamp, int) else None
        return cls(error, (record.topic, record.partition), record.offset, timestamp, record)


def log(rejected: Iterable[Rejected], metrics: Metrics) -> None:
    """Count rejections by reason, and log them: those with the same reason and path together."""
    alike: dict[tuple[str, str], list[RecordError]] = defaultdict(list)
    for rejection in rejected:
        alike[rejection.error.reason, rejection.error.path].append(rejection.error)
    for (reason, path), errors in alike.items():
        metrics.count(f"rejected:{reason}", sum(error.count for error in errors))
        for start in range(0, len(errors), LOGGED_TOGETHER):
            some = errors[start : start + LOGGED_TOGETHER]
            fields = {
                "reason": reason,
                "path": path,
                "first": some[0].message,
                "records": [error.where for error in some],
            }
            _log.error("records can't be written", extra=fields)
