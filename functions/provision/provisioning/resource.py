"""The shape that all resources share, and how what is found differs from what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

Remedy = Literal["change", "switch", "restart", "wait", "by hand"]
StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that isn't as wanted.

    `remedy`: "change" it; "switch" the stream on, which manual mode allows too; "restart" one that failed, once; "wait"
    for the service; or "by hand": nothing here may fix it, and `advice` says how. Of a change it says what that means.
    """

    field: str
    found: object
    wanted: object
    remedy: Remedy = "change"
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.field}: {shown(self.found)} -> {shown(self.wanted)}"
        return f"{line}; {self.advice}" if self.advice else line


class Resource(Protocol[StateT]):
    """Something in the cloud that a connector needs.

    `look` gives its state, None where it isn't there; `compare` is pure. `make`, `change` and `remove` ask once for
    what they name and may be asked again: whatever they raise, the next `look` says what has become of it.
    """

    @property
    def title(self) -> str:
        """What it is and what it's called, such as "topic orders"."""

    @property
    def creates(self) -> bool:
        """Whether `make` may be asked for."""

    @property
    def made_by_hand(self) -> str:
        """How to make it where provisioning can't or mustn't."""

    def look(self, cloud: Cloud) -> StateT | None:
        """Its state, or None."""

    def compare(self, found: StateT) -> tuple[Difference, ...]:
        """Every difference to what is wanted; none means that it can be used as it is."""

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made."""

    def change(self, cloud: Cloud, found: StateT) -> None:
        """Ask for the differences to be fixed whose remedy is "change" or "switch"."""

    def remove(self, cloud: Cloud) -> None:
        """Ask for it to be removed."""


class Stream(Resource[StateT], Protocol[StateT]):
    """A resource that delivers records, or doesn't."""

    def pause(self, cloud: Cloud) -> None:
        """Ask for it to stop delivering; where it has come to stays with the group."""

    def is_paused(self, found: StateT) -> bool:
        """Whether it delivers nothing."""

    def state(self, found: StateT) -> str:
        """In a word."""

    def window(self, found: StateT | None) -> int:
        """Seconds that a batch is waited for, as it is wanted where nothing was found."""


AnyResource: TypeAlias = Resource[Any]
AnyStream: TypeAlias = Stream[Any]
"""One of several, each with a state of its own: what was found of it is for itself alone."""


def shown(value: object) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(sorted(map(str, value))) or "none"
    return "none" if value is None or value == "" else str(value)
