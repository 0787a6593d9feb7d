"""The base class of things that run until the end of a `with`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Stoppable:
    """A context manager that calls its own `stop` at the end; servers and brokers inherit it."""

    __slots__ = ()

    def stop(self) -> None:
        """Stop; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
