"""What the provisioning function replies, as lines for a person: steps and offsets as tables, the rest as sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local_emulator.cli.text_table import draw
from local_emulator.provisioner import undone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LONGEST = 80
"""Columns of a terminal for what a resource is, which a table of steps shouldn't cut."""
_TOLD = frozenset({"action", "connector", "account", "state", "faults", "warnings", "steps", "drift", "lag", "done"})
"""What has a form of its own, or needs none."""


def lines(reply: Mapping[str, Any]) -> Iterator[str]:
    """A reply; whatever it has beyond what is known here is shown as JSON."""
    if "lag" in reply:
        yield from _lag(reply["lag"])
    # An action that did what it says has shown its steps already, one by one.
    steps = reply.get("drift", reply.get("steps")) if undone(reply) or "done" not in reply else ()
    if steps:
        yield from _steps(steps)
    for step in steps or ():
        yield from (f"  blocked: {step['resource']}: {why}" for why in step.get("why", ()))
    for kind in ("faults", "warnings"):
        yield from (f"  {kind[:-1]}: {line}" for line in reply.get(kind, ()))
    for name, value in reply.items():
        if name not in _TOLD and value not in ([], {}, ""):
            yield from _other(name, value)
    yield f"  {reply.get('state', 'done')}"


def _steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One row a difference: what it is, and what it becomes."""
    rows: list[list[object]] = []
    for step in steps:
        differences = step.get("differences") or [{}]
        for number, one in enumerate(differences):
            first = number == 0
            change = f"{one['field']}: {one['found']} → {one['wanted']}" if one else ""
            rows.append([step["resource"] if first else "", step["do"] if first else "", change])
    yield from (f"  {line}" for line in draw(["resource", "step", "what"], rows, LONGEST))


def _lag(lag: Mapping[str, Any]) -> Iterator[str]:
    names = ["topic", "partition", "end", "committed", "lag"]
    listed = lag.get("topic_partitions") or []
    if listed:
        yield from (f"  {line}" for line in draw(names, [[one.get(name) for name in names] for one in listed]))


def _other(name: str, value: object) -> Iterator[str]:
    words = name.replace("_", " ")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        yield from (f"  {words}: {one}" for one in value)
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        names = list(dict.fromkeys(name for one in value for name in one))
        yield f"  {words}:"
        rows = [[_cell(one.get(name, "")) for name in names] for one in value]
        yield from (f"  {line}" for line in draw([name.replace("_", " ") for name in names], rows, LONGEST))
    elif isinstance(value, dict):
        for inner, found in value.items():
            if found not in ([], {}, ""):
                yield from _other(f"{name} {inner}", found)
    elif isinstance(value, list):
        yield f"  {words}: {json.dumps(value, ensure_ascii=False)}"
    else:
        yield f"  {words}: {value}"


def _cell(value: object) -> object:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
