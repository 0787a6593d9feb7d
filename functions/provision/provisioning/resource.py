"""The protocol of all resources, and the differences between their actual and their wanted state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

Remedy = Literal["change", "switch", "restart", "wait", "by hand"]
StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field whose actual value isn't the wanted one.

    `remedy` says what removes the difference: "change" the resource; "switch" the stream on, which manual mode allows
    too; "restart" a failed stream, once; "wait" for the service; or "by hand": only a person may fix the field.
    `advice` says how a person fixes the field, or what the change means for rows.
    """

    field: str
    actual: object
    wanted: object
    remedy: Remedy = "change"
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.field}: {shown(self.actual)} -> {shown(self.wanted)}"
        return f"{line}; {self.advice}" if self.advice else line


class Resource(Protocol[StateT]):
    """Something in the cloud that a connector needs.

    `look` returns the state, None if the resource doesn't exist; `compare` is pure. `make`, `change` and `remove` send
    one request each and may be called again: whatever they raise, the next `look` shows the request's effect.
    """

    @property
    def title(self) -> str:
        """Return kind and name, such as "topic orders"."""

    @property
    def creates(self) -> bool:
        """Return whether `make` may be called."""

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person, if provisioning can't or mustn't create the resource."""

    def look(self, cloud: Cloud) -> StateT | None:
        """Return the state, or None if the resource doesn't exist."""

    def compare(self, state: StateT) -> tuple[Difference, ...]:
        """Return every difference from what is wanted; no difference means that the resource can be used as it is."""

    def make(self, cloud: Cloud) -> None:
        """Request the creation."""

    def change(self, cloud: Cloud, state: StateT) -> None:
        """Request a fix of the differences whose remedy is "change", "switch" or "restart"."""

    def remove(self, cloud: Cloud) -> None:
        """Request the removal."""


class Stream(Resource[StateT], Protocol[StateT]):
    """A resource that delivers records unless it is paused."""

    def pause(self, cloud: Cloud) -> None:
        """Request a stop of the delivery; the consumer group keeps its committed offsets."""

    def is_paused(self, state: StateT) -> bool:
        """Return whether the stream delivers nothing."""

    def status(self, state: StateT) -> str:
        """Return the stream's status in one word, such as "running"."""

    def window(self, state: StateT | None) -> int:
        """Return the seconds of the batch window; the wanted window if there is no state."""


AnyResource: TypeAlias = Resource[Any]
AnyStream: TypeAlias = Stream[Any]
"""A stream among several types; its state may be passed only to the stream that returned the state."""


def shown(value: object) -> str:
    """Return a value as text for people."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(sorted(map(str, value))) or "none"
    return "none" if value is None or value == "" else str(value)
