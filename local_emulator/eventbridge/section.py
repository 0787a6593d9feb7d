"""One mapping of a configuration, read key by key; what is wrong is collected, not raised."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping, the path it has in the configuration, and the list that its faults go to.

    A reader that finds a fault adds it and returns something harmless of the right type.
    """

    path: str
    fields: Mapping[str, object]
    faults: list[str]

    def fault(self, key: str, text: str) -> None:
        """Note a fault of a key."""
        self.faults.append(f"{self.path}.{key} {text}")

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return self.fields.get(key) is not None

    def known(self, *keys: str) -> None:
        """Note every key that isn't among these."""
        for key in self.fields:
            if key not in keys:
                close = difflib.get_close_matches(str(key).lower(), [known.lower() for known in keys], n=1)
                meant = next((known for known in keys if close and known.lower() == close[0]), None)
                hint = f"did you mean {meant}?" if meant else f"the keys here are {', '.join(keys)}"
                self.fault(str(key), f"isn't a key that the service knows; {hint}")

    def section(self, key: str) -> Section:
        """The mapping under a key; an empty one, with its fault noted, if it is absent or no mapping."""
        value = self.fields.get(key)
        if isinstance(value, Mapping):
            return Section(f"{self.path}.{key}", value, self.faults)
        self.fault(key, f"must be a mapping; {_found(value)}")
        return Section(f"{self.path}.{key}", {}, [])

    def text(self, key: str, *, default: str | None = None) -> str:
        """Text that isn't empty; required if there is no default."""
        value = self.fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value:
            return value
        self.fault(key, f"must be text that isn't empty; {_found(value)}")
        return ""

    def choice(self, key: str, allowed: tuple[str, ...], *, default: str | None = None) -> str:
        """One of the allowed texts, in exactly that spelling; required if there is no default."""
        value = self.fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        self.fault(key, f"must be {' or '.join(allowed)}; {_found(value)}")
        return allowed[0]

    def integer(self, key: str, low: int, high: int | None, *, default: int | None = None) -> int:
        """A number (not its text) from low to high, both included; required if there is no default."""
        value = self.fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high):
            return value
        wanted = (
            f"{low}" if low == high else f"a number from {low} up" if high is None else f"a number from {low} to {high}"
        )
        self.fault(key, f"must be {wanted}; {_found(value)}")
        return low

    def boolean(self, key: str, *, default: bool) -> bool:
        """True or false, not their texts."""
        value = self.fields.get(key, default)
        if isinstance(value, bool):
            return value
        self.fault(key, f"must be true or false; {_found(value)}")
        return default


def _found(value: object) -> str:
    if value is None:
        return "it is absent"
    if isinstance(value, Mapping):
        return "found a mapping"
    return f"found {value!r} ({type(value).__name__})" if not isinstance(value, str) else f"found the text {value!r}"
