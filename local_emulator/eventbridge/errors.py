"""What goes wrong with an event stream, its settings, its invocations and its recordings."""

from __future__ import annotations


class StreamConfigError(Exception):
    """A trigger that can't work; `faults` holds every fault, to be fixed in one round."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"the trigger's configuration has {len(faults)} fault{'s' * (len(faults) > 1)}:{lines}")


class InvocationError(Exception):
    """An invocation failed; `retryable` says whether the same batch may succeed later without anyone's doing."""

    def __init__(self, text: str, *, retryable: bool) -> None:
        super().__init__(text)
        self.retryable = retryable


class RecordingError(Exception):
    """A file holds no batch, or can't be written."""


class StreamError(Exception):
    """The stream stands still, couldn't start, or didn't get as far as was waited for."""
