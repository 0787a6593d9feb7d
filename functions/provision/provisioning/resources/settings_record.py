"""The connector's settings as they were last applied: a record in the config topic, by the connector's name (D11).

The value is a JSON object of version 1: {"v": 1, "settings": {...}, "accept_risk": [...], "start": {"0": 123}}.
It holds no secret, for the settings hold none: a password is a reference there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.errors import RefusedError
from provisioning import brokers
from provisioning.change_effects import meaning
from provisioning.request import IDENTITY
from provisioning.resource import Difference, Resource
from provisioning.resources.start import told

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.request import Request

VERSION = 1
ABSENT = "-"
"""In a difference: a setting that one side doesn't know."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the record says; `starts` are the first offsets that a migration gave, by topic-partition."""

    settings: dict[str, Any]
    accept_risk: frozenset[str] = frozenset()
    starts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettingsRecord(Resource[Recorded]):
    """The record of one connector; `request` is what it is to say, its risks those that are accepted by now."""

    request: Request

    @property
    def title(self) -> str:
        """What it is."""
        return f"settings of {self.request.settings.name} in topic {self.request.settings.config_topic}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """It isn't: nobody else writes it."""
        return "apply writes it"

    def look(self, cloud: Cloud) -> Recorded | None:
        """The last record of this name; None where the topic holds none, or isn't there."""
        settings = self.request.settings
        value = brokers.last_value(cloud, settings.config_topic, settings.name.encode())
        return None if value is None else _read(value, settings.config_topic)

    def compare(self, found: Recorded) -> tuple[Difference, ...]:
        """Each setting that was another one; what says which connector it is, only if it's to be changed (D01)."""
        wanted = asdict(self.request.settings)
        changed = [name for name in {**wanted, **found.settings} if found.settings.get(name) != wanted.get(name)]
        differences = [
            self._difference(name, found.settings.get(name, ABSENT), wanted.get(name, ABSENT)) for name in changed
        ]
        if found.accept_risk != self.request.accepted:
            differences.append(Difference("accept_risk", found.accept_risk, self.request.accepted))
        if self.request.start and found.starts != self.request.start:
            differences.append(Difference("start", told(found.starts), told(self.request.start)))
        return tuple(differences)

    def make(self, cloud: Cloud) -> None:
        """Write it."""
        self._write(cloud, self.request.start)

    def change(self, cloud: Cloud, found: Recorded) -> None:
        """Write it again; compaction drops the one before."""
        self._write(cloud, self.request.start or found.starts)

    def remove(self, cloud: Cloud) -> None:
        """Take the name back: an empty record, which compaction drops with those before it."""
        self._append(cloud, None)

    def _write(self, cloud: Cloud, starts: Any) -> None:
        document = {
            "v": VERSION,
            "settings": asdict(self.request.settings),
            "accept_risk": sorted(self.request.accepted),
            "start": {str(number): offset for number, offset in sorted(starts.items())},
        }
        self._append(cloud, json.dumps(document, ensure_ascii=False).encode())

    def _append(self, cloud: Cloud, value: bytes | None) -> None:
        settings = self.request.settings
        brokers.write(cloud, settings.config_topic, settings.name.encode(), value)

    def _difference(self, name: str, found: object, wanted: object) -> Difference:
        if name in IDENTITY and name not in self.request.change:
            other = f"the name {self.request.settings.name} is in use for another {name.replace('_', ' ')}"
            advice = f'{other}; take another connector name, or, to change this connector, give change: ["{name}"]'
            return Difference(name, found, wanted, "by hand", advice)
        return Difference(name, found, wanted, advice=meaning(name, found, wanted))


def _read(value: bytes, topic: str) -> Recorded:
    """The record's document; raises `RefusedError` for one that this version doesn't know."""
    try:
        document = documents.read(value, dict[str, Any])
        version = document["v"]
        if version == VERSION:
            starts = {int(number): int(offset) for number, offset in document["start"].items()}
            return Recorded(dict(document["settings"]), frozenset(document["accept_risk"]), starts)
    except documents.FAULTS:
        version = "that is none"
    has = f"topic {topic}: expected a settings record of version {VERSION}, found one of version {version!s:.80}"
    raise RefusedError(
        f"{has}; deploy the release that wrote it, or give the connector a config topic of its own", code="WrongRecord"
    )
