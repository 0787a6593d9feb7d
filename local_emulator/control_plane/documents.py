"""JSON texts of requests."""

from __future__ import annotations

import json
from typing import Any

MOST_LEVELS = 100
"""How deeply a text may nest here, so that nothing that walks through it comes to Python's own limit."""


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds; ValueError if the text isn't JSON or nests too deeply."""
    try:
        document = json.loads(text)
    except RecursionError:
        document, levels = None, MOST_LEVELS + 1
    else:
        levels = _levels(document)
    if levels > MOST_LEVELS:
        raise ValueError(f"expected at most {MOST_LEVELS} nested arrays and objects, found more")
    return document


def _levels(document: Any) -> int:
    """Count the levels of arrays and objects, up to one more than the limit."""
    levels, level = 0, [document]
    while levels <= MOST_LEVELS and (level := [each for each in level if isinstance(each, (dict, list))]):
        levels += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return levels
