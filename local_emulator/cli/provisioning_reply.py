"""Writes the provisioning function's reply for a person: steps and offsets as tables, the rest as sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local_emulator.cli.text_table import draw
from local_emulator.provisioner import has_failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LONGEST = 80
"""The most columns of a terminal for one value; wide enough that the table of steps cuts none."""
_HANDLED = frozenset({"action", "connector", "account", "state", "faults", "warnings", "steps", "drift", "lag", "done"})
"""Fields of a reply that `lines` prints in a form of their own, or leaves out."""
_LABELS = {"topic_partition": "topic-partition", "partition": "partition value"}
"""Fields of a reply that have another name here: two kinds of partitions are in the reply of `test`."""


def lines(reply: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a reply; fields that aren't known here are printed by the shape of their values."""
    if "lag" in reply:
        yield from _lag(reply["lag"])
    # The steps of an action that was done were printed already, one by one.
    steps = reply.get("drift", reply.get("steps")) if has_failed(reply) or "done" not in reply else ()
    if steps:
        yield from _steps(steps)
    for step in steps or ():
        yield from (f"  blocked: {step['resource']}: {why}" for why in step.get("why", ()))
    for kind in ("faults", "warnings"):
        yield from (f"  {kind[:-1]}: {line}" for line in reply.get(kind, ()))
    for name, value in reply.items():
        if name not in _HANDLED and value not in ([], {}, ""):
            yield from _other(_LABELS.get(name, name), value)
    yield f"  {reply.get('state', 'done')}"


def _steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table with one row for each difference between a resource and its wanted state."""
    rows: list[list[object]] = []
    for step in steps:
        differences = step.get("differences") or [{}]
        for number, difference in enumerate(differences):
            first = number == 0
            change = f"{difference['field']}: {difference['found']} → {difference['wanted']}" if difference else ""
            rows.append([step["resource"] if first else "", step["do"] if first else "", change])
    yield from (f"  {line}" for line in draw(["resource", "step", "what"], rows, LONGEST))


def _lag(lag: Mapping[str, Any]) -> Iterator[str]:
    names = ["topic", "partition", "end", "committed", "lag"]
    rows = [[topic_partition.get(name) for name in names] for topic_partition in lag.get("topic_partitions") or []]
    if rows:
        yield from (f"  {line}" for line in draw(names, rows))


def _other(name: str, value: object) -> Iterator[str]:
    words = name.replace("_", " ")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield from (f"  {words}: {item}" for item in value)
    elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
        names = list(dict.fromkeys(name for item in value for name in item))
        yield f"  {words}:"
        rows = [[_cell(item.get(name, "")) for name in names] for item in value]
        yield from (f"  {line}" for line in draw([name.replace("_", " ") for name in names], rows, LONGEST))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if inner not in ([], {}, ""):
                yield from _other(f"{name} {key}", inner)
    elif isinstance(value, list):
        yield f"  {words}: {json.dumps(value, ensure_ascii=False)}"
    else:
        yield f"  {words}: {value}"


def _cell(value: object) -> object:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
