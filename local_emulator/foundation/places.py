"""Where the project is that the local cloud deploys, and where the cloud keeps what it leaves behind."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout that this file is in."""


def version() -> str:
    """The release of the project, from the one place that has it."""
    text = (PROJECT / "layers/connector/python/kafka_maxcompute/__init__.py").read_text(encoding="utf-8")
    return str(re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[0])
