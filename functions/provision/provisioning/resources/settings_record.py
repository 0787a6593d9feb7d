"""The connector's settings as they were last applied: a record in the config topic with the connector's name (D11).

The value is a JSON object of version 1: {"v": 1, "settings": {...}, "accept_risk": [...], "start": {"0": 123}}.
The record holds no secret, since the settings hold none: the setting of a password is a reference.
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
from provisioning.resources.start import described

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.request import Request

VERSION = 1
ABSENT = "-"
"""The value of a setting in a difference, if the settings record or the request doesn't know the setting."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The content of the record; `starts` are the first offsets that a migration gave, by topic-partition."""

    settings: dict[str, Any]
    accept_risk: frozenset[str] = frozenset()
    starts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettingsRecord(Resource[Recorded]):
    """The record of one connector; `request` has the content to write, and all risks that are accepted by now."""

    request: Request

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"settings of {self.request.settings.name} in topic {self.request.settings.config_topic}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the advice to run apply: a person can't write the record."""
        return "apply writes it"

    def look(self, cloud: Cloud) -> Recorded | None:
        """Return the last record of the connector; None if the topic has no such record, or doesn't exist."""
        settings = self.request.settings
        value = brokers.last_value(cloud, settings.config_topic, settings.name.encode())
        return None if value is None else _read(value, settings.config_topic)

    def compare(self, recorded: Recorded) -> tuple[Difference, ...]:
        """Return each setting that changes; a setting that identifies a connector may change only on request (D01)."""
        wanted = asdict(self.request.settings)
        changed = [name for name in {**wanted, **recorded.settings} if recorded.settings.get(name) != wanted.get(name)]
        differences = [
            self._difference(name, recorded.settings.get(name, ABSENT), wanted.get(name, ABSENT)) for name in changed
        ]
        if recorded.accept_risk != self.request.accepted:
            differences.append(Difference("accept_risk", recorded.accept_risk, self.request.accepted))
        if self.request.start and recorded.starts != self.request.start:
            differences.append(Difference("start", described(recorded.starts), described(self.request.start)))
        return tuple(differences)

    def make(self, cloud: Cloud) -> None:
        """Write the record."""
        self._write(cloud, self.request.start)

    def change(self, cloud: Cloud, recorded: Recorded) -> None:
        """Write the record again; compaction drops the earlier one."""
        self._write(cloud, self.request.start or recorded.starts)

    def remove(self, cloud: Cloud) -> None:
        """Append a record without a value, which makes compaction drop all records of the connector."""
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

    def _difference(self, name: str, actual: object, wanted: object) -> Difference:
        if name in IDENTITY and name not in self.request.change:
            other = f"the name {self.request.settings.name} is in use for another {name.replace('_', ' ')}"
            advice = f'{other}; take another connector name, or, to change this connector, give change: ["{name}"]'
            return Difference(name, actual, wanted, "by hand", advice)
        return Difference(name, actual, wanted, advice=meaning(name, actual, wanted))


def _read(value: bytes, topic: str) -> Recorded:
    """Return the content of a record's value; raises `RefusedError` if this release doesn't know its version."""
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
