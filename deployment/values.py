"""Reports wrong values of the variables that a template reads, before anything is deployed.

A setting is checked by its own rule in `kafka_maxcompute.settings`, which needs only Python's standard library; rules
between settings, which need the values of the whole template, are checked by the provisioner's `plan`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.settings.setting import UNREADABLE, shown
from kafka_maxcompute.settings.settings import PREFIX, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RUNTIMES = ("python3.10", "python3.12")


def _number(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


_JSON: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "STREAM_ENABLED": ("true or false", lambda value: isinstance(value, bool)),
    "VSWITCH_IDS": (
        'a JSON list such as ["vsw-..."]',
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    ),
    "BATCH_RECORDS": ("a whole number from 1 to 10000", _whole(1, 10_000)),
    "BATCH_SECONDS": ("a whole number from 0 to 15", _whole(0, 15)),
    "MEMORY_SIZE": (
        "a whole number from 128 to 32768 in steps of 64",
        lambda value: _whole(128, 32_768)(value) and value % 64 == 0,
    ),
    "CPU": ("a number from 0.05 to 16", _number(0.05, 16)),
}
"""Variables that the template reads as JSON: what is expected, and whether a value is."""
_TEXT = {
    "RUNTIME": (" or ".join(RUNTIMES), re.compile("|".join(map(re.escape, RUNTIMES)))),
    "KAFKA_NETWORK": ("Default or PublicNetwork", re.compile("Default|PublicNetwork")),
    **{
        f"LAYER_{name}_VERSION": ("the number of a published version", re.compile(r"[1-9][0-9]*"))
        for name in ("POWERTOOLS", "CONNECTOR", "DEPENDENCIES")
    },
}


def faults(environment: Mapping[str, str], place: Callable[[str], str]) -> Iterator[str]:
    """Yield a fault for each wrong value; empty variables count as unset. `place` says where a variable is set."""
    given = {name: value for name, value in environment.items() if value}
    for field, setting in SETTINGS.items():
        name = f"{PREFIX}{field.upper()}"
        if name in given:
            try:
                setting.kind.read(given[name])
            except UNREADABLE:
                yield setting.kind.fault(f"{name} in {place(name)}", given[name])
    for name, (expected, is_right) in _JSON.items():
        if name in given and not is_right(_parsed(given[name])):
            yield f"{name} in {place(name)}: expected {expected}, found {shown(given[name])}"
    for name, (expected, pattern) in _TEXT.items():
        if name in given and not pattern.fullmatch(given[name]):
            yield f"{name} in {place(name)}: expected {expected}, found {shown(given[name])}"


def incomplete(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a fault if variables that a deploy needs together are set only in part."""
    given = {name: value for name, value in environment.items() if value}
    network = ("CONNECTOR_VPC_ID", "VSWITCH_IDS", "SECURITY_GROUP_ID")
    missing = [name for name in network if not given.get(name) or _parsed(given[name]) == []]
    if 0 < len(missing) < len(network):
        yield (
            f"{' and '.join(missing)}: expected together with the rest of {', '.join(network)}, found none; run "
            "make bootstrap, which sets them from the Kafka instance, or set none of the three for functions in no VPC"
        )
    project, store = given.get("LOG_PROJECT", "auto"), given.get("LOG_STORE")
    if (project in {"auto", "none"}) is bool(store):
        yield (
            f"LOG_PROJECT and LOG_STORE: expected a project of your own with its store, or LOG_PROJECT auto or none "
            f"without LOG_STORE, found {project} with {store or 'no store'}"
        )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
