"""Variables that look like settings and are none, in the shell or in the file .env: nothing else would notice them.

The template passes on the settings that it names, and no other variable. So a misspelt one has no effect.
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
"""What variables begin with to which a setting refers; the user names them."""
FILE = ".env"
"""Beside the template; Serverless Devs and `make bootstrap` read it."""
COMMANDS = frozenset({"demo", "up", "provision", "policy"})
"""The commands that are about the template's settings."""
_ASSIGNED = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", re.MULTILINE)


class VariablesError(Exception):
    """Variables whose names nothing knows; the message has each, and the nearest known name."""


def check(template: Path, environment: Mapping[str, str]) -> None:
    """Look at the names in the environment and in the file beside the template; raises VariablesError."""
    if not template.is_file():
        return  # commands that need it say so
    known = sorted(_settings(template))
    file = template.with_name(FILE)
    assigned = _ASSIGNED.findall(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else []
    faults = [*_faults(environment, "the environment", known), *_faults(assigned, FILE, known)]
    if faults:
        told = "".join(f"\n  - {fault}" for fault in faults)
        raise VariablesError(f"names that begin with {PREFIX} and are no settings:{told}\nMend them, or remove them.")


def _settings(template: Path) -> Iterator[str]:
    """The settings that the template gives to its functions; what else is wrong with it is for others to say."""
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
        close = get_close_matches(spelled[len(PREFIX) :], [one[len(PREFIX) :] for one in known], n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "docs/CONFIGURATION.md lists all settings"
        yield f"{name} in {where}: no such setting; {hint}"
