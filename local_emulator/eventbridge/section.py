"""A mapping of a configuration, read key by key; faults are collected, not raised."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from local_emulator.eventbridge import event_pattern


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping, its path in the configuration, and the list of faults.

    A method that finds a fault adds the fault and returns a valid value of the right type.
    """

    path: str
    fields: Mapping[str, object]
    faults: list[str]

    def fault(self, key: str, text: str) -> None:
        """Add a fault of a key."""
        self.faults.append(f"{self.path}.{key} {text}")

    def has(self, key: str) -> bool:
        """Return whether the key has a value."""
        return self.fields.get(key) is not None

    def known(self, *keys: str) -> None:
        """Add a fault for every key that isn't among these."""
        for key in self.fields:
            if key not in keys:
                close = difflib.get_close_matches(str(key).lower(), [known.lower() for known in keys], n=1)
                meant = next((known for known in keys if close and known.lower() == close[0]), None)
                hint = f"did you mean {meant}?" if meant else f"the keys here are {', '.join(keys)}"
                self.fault(str(key), f"isn't a key that the service knows; {hint}")

    def section(self, key: str) -> Section:
        """Return the mapping under a key; if it is absent or no mapping, add a fault and return an empty section."""
        value = self.fields.get(key)
        if isinstance(value, Mapping):
            return Section(f"{self.path}.{key}", value, self.faults)
        self.fault(key, f"must be a mapping; {_described(value)}")
        return Section(f"{self.path}.{key}", {}, [])

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return text that isn't empty; required if there is no default."""
        value = self.fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value:
            return value
        self.fault(key, f"must be text that isn't empty; {_described(value)}")
        return ""

    def pattern(self, key: str) -> str:
        """Return the text of an event pattern; without one, the pattern that lets all events through."""
        text = self.text(key, default=event_pattern.EVERYTHING)
        try:
            event_pattern.matcher(text)
        except event_pattern.PatternError as error:
            for fault in error.faults:
                self.fault(key, f"is no event pattern: {fault}")
        return text

    def choice(self, key: str, allowed: tuple[str, ...], *, default: str | None = None) -> str:
        """Return an allowed text, in exactly this spelling; required if there is no default."""
        value = self.fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        self.fault(key, f"must be {' or '.join(allowed)}; {_described(value)}")
        return allowed[0]

    def integer(self, key: str, low: int, high: int | None, *, default: int | None = None) -> int:
        """Return a number (not its text) from low to high, both included; required if there is no default."""
        value = self.fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high):
            return value
        wanted = (
            f"{low}" if low == high else f"a number from {low} up" if high is None else f"a number from {low} to {high}"
        )
        self.fault(key, f"must be {wanted}; {_described(value)}")
        return low

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return true or false, not their texts."""
        value = self.fields.get(key, default)
        if isinstance(value, bool):
            return value
        self.fault(key, f"must be true or false; {_described(value)}")
        return default


def _described(value: object) -> str:
    if value is None:
        return "found no value"
    if isinstance(value, Mapping):
        return "found a mapping"
    return f"found {value!r} ({type(value).__name__})" if not isinstance(value, str) else f"found the text {value!r}"
