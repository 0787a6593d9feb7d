"""Every error this project raises on purpose.

    ConnectorError
    ├── ConfigurationError          configuration · terminal: every fault found, at once
    ├── BatchError                  the batch as a whole
    │   ├── MalformedBatchError     terminal: the bytes are no JSON array of events
    │   ├── RejectedRecordsError    terminal: records that can't be written, each with its reason
    │   ├── DeadlineError           retryable: the invocation's remaining time is used up
    │   ├── UnavailableError        retryable: a service didn't answer, or answered that it can't now
    │   ├── TableChangedError       retryable: the table isn't the one that the batch was prepared for
    │   ├── ProbeError              retryable: a probe's record asks for a failure, to see what comes of it
    │   ├── RefusedError            terminal: a service understood and said no
    │   │   └── NoSuchTopicError        terminal: brokers have no such topic-partitions
    │   └── LedgerError             terminal: the ledger is gone, unreadable, or about something else by now
    └── RecordError                 one record · terminal: where it is and why it can't be written

Two questions decide what happens next: is it retryable, and is it about a record, a batch or the configuration.
Messages name topic-partition-offset and the JSON path, what was expected and what was found; never a payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kafka_maxcompute.offsets import TopicPartition


class ConnectorError(Exception):
    """The root of the tree; `retryable` says whether the same input can succeed later without anyone's doing."""

    retryable: ClassVar[bool] = False


class ConfigurationError(ConnectorError):
    """Settings, table or template that can't work; `faults` holds every fault, to be fixed in one round."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(f"{count} fault{'s' if count > 1 else ''} in the configuration:{lines}")


class BatchError(ConnectorError):
    """The batch can't be written now; nothing of it is acknowledged."""


class MalformedBatchError(BatchError):
    """The invocation's bytes are no JSON array of events."""


class RecordError(ConnectorError):
    """One record can't be written.

    `where` is topic-partition-offset, or the element's index where these can't be read; `path` the JSON path of the
    fault in the event; `reason` a short constant word for metrics; the message says what was expected and found.
    `said` is what a service said of the record. It may repeat what the record holds, so it's for the dead letter alone.
    `count` is how many elements of the batch it is about.
    """

    __slots__ = ("count", "message", "path", "reason", "said", "where")

    def __init__(self, reason: str, message: str, *, where: str, path: str, said: str = "", count: int = 1) -> None:
        super().__init__()
        self.reason = reason
        self.said = said
        self.message = message
        self.where = where
        self.path = path
        self.count = count

    def __str__(self) -> str:
        return f"{self.where}: {self.message} - at {self.path}"


class RejectedRecordsError(BatchError):
    """Some records of the batch can't be written; `rejected` names each, `outcome` what became of the others."""

    SHOWN: ClassVar[int] = 10

    def __init__(self, rejected: Sequence[RecordError], *, records: int, outcome: str = "so the batch was not") -> None:
        self.rejected = tuple(rejected)
        shown = "".join(f"\n  - {error}" for error in self.rejected[: self.SHOWN])
        count = sum(error.count for error in self.rejected)
        more = count - sum(error.count for error in self.rejected[: self.SHOWN])
        rest = f"\n  - and {more} more" if more > 0 else ""
        super().__init__(
            f"{count} of {records} records can't be written, {outcome}; "
            f"fix the producer or the table, or move the group past them:{shown}{rest}"
        )


class DeadlineError(BatchError):
    """The invocation's remaining time doesn't suffice for what is left to do."""

    retryable = True


class UnavailableError(BatchError):
    """A service didn't answer, or said that it can't serve the request now."""

    retryable = True


class TableChangedError(BatchError):
    """The table was altered, or dropped and created again, since the batch was prepared for it."""

    retryable = True


class ProbeError(BatchError):
    """A probe's record asks for a failure; the redelivery it is there to show succeeds."""

    retryable = True


class RefusedError(BatchError):
    """A service understood the request and refused it; `code` is the service's own word for why.

    `said` is its whole sentence. It may repeat what was sent, so it's for no log.
    """

    def __init__(self, message: str, *, code: str, said: str = "") -> None:
        self.code = code
        self.said = said
        super().__init__(message)


class NoSuchTopicError(RefusedError):
    """The brokers have none of `places`, which are topic-partitions that were asked for."""

    def __init__(self, message: str, *, code: str, places: Collection[TopicPartition]) -> None:
        self.places = frozenset(places)
        super().__init__(message, code=code)


class LedgerError(BatchError):
    """The ledger of claims can't be relied on for this topic and table; the message says what to do."""
