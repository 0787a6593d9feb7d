"""The errors of an event stream, its settings, its invocations and its recordings."""

from __future__ import annotations


class StreamConfigError(Exception):
    """A trigger's configuration has faults; `faults` has all of them, so that they can be fixed together."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"the trigger's configuration has {len(faults)} fault{'s' * (len(faults) > 1)}:{lines}")


class InvocationError(Exception):
    """An invocation failed; `retryable` says whether the same batch may succeed later without a change.

    `status` is the answer's HTTP status, 0 without an answer; `error_type` is the function's exception, or the error
    code of Function Compute; `request_id` is the invocation's.
    """

    def __init__(
        self, text: str, *, retryable: bool, status: int = 0, error_type: str = "", request_id: str = ""
    ) -> None:
        super().__init__(text)
        self.retryable = retryable
        self.status = status
        self.error_type = error_type
        self.request_id = request_id


class RecordingError(Exception):
    """A file doesn't hold a batch, or can't be written."""


class StreamError(Exception):
    """The stream has stopped, couldn't start, or didn't reach the awaited offsets in time."""
