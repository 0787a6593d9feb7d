"""The environment of a function as a deployment gives it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from kafka_maxcompute.settings.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def deployed(settings: Settings, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a function with these settings, and further ones."""
    own = {f"{PREFIX}{name.upper()}": str(value) for name, value in asdict(settings).items()}
    return own | dict(variables or {})
