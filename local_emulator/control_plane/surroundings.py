"""The rest of the local cloud, as far as the control plane acts on it; what is absent isn't acted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.identity import AccessKey
    from local_emulator.kafka.broker import Broker


def _tell_nobody(key_id: str, key: AccessKey) -> None:
    """A control plane alone: no other service takes its keys."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``broker`` gets the topics; ``tell_key`` is told each temporary key, for services that take it too."""

    broker: Broker | None = None
    tell_key: Callable[[str, AccessKey], None] = _tell_nobody
