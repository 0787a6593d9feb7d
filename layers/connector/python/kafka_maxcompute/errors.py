"""Every error that this project raises on purpose.

    ConnectorError
    ├── ConfigurationError          configuration · terminal: all faults of the configuration at once
    ├── BatchError                  the batch as a whole
    │   ├── MalformedBatchError     terminal: the bytes are no JSON array of events
    │   ├── RejectedRecordsError    terminal: records that can't be written, each with its reason
    │   ├── DeadlineError           retryable: the invocation's remaining time is used up
    │   ├── UnavailableError        retryable: a service didn't answer, or can't serve the request now
    │   ├── TableChangedError       retryable: the table was changed after the batch was prepared for it
    │   ├── ProbeError              retryable: a probe's record requests a failure, to show the redelivery
    │   ├── RefusedError            terminal: a service understood the request and refused it
    │   │   └── NoSuchTopicError    terminal: the brokers have no such topic-partitions
    │   └── LedgerError             terminal: the ledger is lost, unreadable, or about another topic or table
    └── RecordError                 one record · terminal: its place, and why it can't be written

What happens next depends on whether the error is retryable, and whether it's about a record, a batch or the
configuration. Messages name topic-partition-offset and the JSON path, what was expected and what was found; never a
payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kafka_maxcompute.offsets import TopicPartition


class ConnectorError(Exception):
    """Base of all errors; `retryable` says whether the same input can succeed later by itself."""

    retryable: ClassVar[bool] = False


class ConfigurationError(ConnectorError):
    """Settings, table or template that can't work; `faults` has every fault, so that all can be fixed at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(f"{count} fault{'s' if count > 1 else ''} in the configuration:{lines}")


class BatchError(ConnectorError):
    """The batch can't be written now; none of its records is acknowledged."""


class MalformedBatchError(BatchError):
    """The invocation's bytes are no JSON array of events."""


class RecordError(ConnectorError):
    """One record can't be written.

    `where` is topic-partition-offset, or the element's index if these can't be read. `path` is the JSON path of the
    fault in the event, `reason` a short constant word for metrics. The message says what was expected and found.
    `said` is a service's text about the record. It may repeat the record's content, so it's only for the dead letter.
    `count` is the number of the batch's elements with this error.
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
    """Some records of the batch can't be written; `rejected` has their errors, `outcome` the fate of the rest."""

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
    """The invocation's remaining time is too short for the remaining work."""

    retryable = True


class UnavailableError(BatchError):
    """A service didn't answer, or answered that it can't serve the request now."""

    retryable = True


class TableChangedError(BatchError):
    """The table was altered, or dropped and created again, after the batch was prepared for it."""

    retryable = True


class ProbeError(BatchError):
    """A probe's record requests a failure, so that its batch comes again; the redelivery succeeds."""

    retryable = True


class RefusedError(BatchError):
    """A service understood the request and refused it; `code` is the service's error code.

    `said` is the service's whole text. It may repeat the request's content, so it must not be logged.
    """

    def __init__(self, message: str, *, code: str, said: str = "") -> None:
        self.code = code
        self.said = said
        super().__init__(message)


class NoSuchTopicError(RefusedError):
    """The brokers have none of the requested topic-partitions in `places`."""

    def __init__(self, message: str, *, code: str, places: Collection[TopicPartition]) -> None:
        self.places = frozenset(places)
        super().__init__(message, code=code)


class LedgerError(BatchError):
    """The ledger of claims isn't reliable for this topic and table; the message says what to do."""
