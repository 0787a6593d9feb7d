"""Reports variables of the shell or the file .env that look like settings but aren't, such as misspelt names.

The template passes only the settings that it names to the functions, so nothing else would notice a misspelt name.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from local_emulator.function_compute import template as function_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PREFIX = "CONNECTOR_"
REFERENCES = ("CONNECTOR_SECRET_", "CONNECTOR_CA_")
"""Prefixes of variables that hold secrets or certificates: a setting refers to them, and the user names them."""
FILE = ".env"
"""A file beside the template; Serverless Devs and `make bootstrap` read it."""
COMMANDS = frozenset({"demo", "up", "provision", "policy"})
"""The commands that read the template's settings."""
_ASSIGNED = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", re.MULTILINE)


class VariablesError(Exception):
    """Variables with unknown names; the message lists each, with the nearest known name."""


def check(template: Path, environment: Mapping[str, str]) -> None:
    """Check the names in the environment and in the file beside the template; raises VariablesError."""
    if not template.is_file():
        return  # the command itself reports a missing template
    known = sorted(_settings(template))
    file = template.with_name(FILE)
    assigned = _ASSIGNED.findall(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else []
    faults = [*_faults(environment, "the environment", known), *_faults(assigned, FILE, known)]
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        raise VariablesError(
            f"variables that begin with {PREFIX} but are no settings:{listed}\nCorrect or remove them."
        )


def _settings(template: Path) -> Iterator[str]:
    """Yield the settings that the template passes to its functions; skip malformed parts, which `cloud` reports."""
    for resource in _mapping(function_template.read(template).get("resources")).values():
        variables = _mapping(_mapping(_mapping(resource).get("props")).get("environmentVariables"))
        yield from (name for name in map(str, variables) if name.startswith(PREFIX))


def _mapping(node: object) -> Mapping[object, object]:
    return node if isinstance(node, dict) else {}


def _faults(names: Iterable[str], where: str, known: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        spelled = name.upper()
        if name in known or not spelled.startswith(PREFIX) or spelled.startswith(REFERENCES):
            continue
        close = get_close_matches(spelled[len(PREFIX) :], [setting[len(PREFIX) :] for setting in known], n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "docs/CONFIGURATION.md lists all settings"
        yield f"{name} in {where}: no such setting; {hint}"
