"""Reports variables that a template doesn't read, such as misspelt settings: without a report the default would count.

The template itself says which variables there are, by its expressions `env('NAME', ...)` and by the settings that it
gives to its functions.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from deployment import dotenv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PREFIX = "CONNECTOR_"
REFERENCES = ("CONNECTOR_SECRET_", "CONNECTOR_CA_")
"""Prefixes of variables that hold secrets or certificates: a setting refers to them, and the user names them."""
_READ = re.compile(r"\benv\(\s*['\"](\w+)['\"]")
_GIVEN = re.compile(rf"^\s+({PREFIX}[A-Z_]+):", re.MULTILINE)
_EXTENDED = re.compile(r"^extend:[ \t]*(['\"]?)([^'\"#\s]+)\1", re.MULTILINE)
_CODE = re.compile(r"^[ \t]+code:[ \t]*(['\"]?)([^'\"#\s]+)\1", re.MULTILINE)
_NEAR = 0.85
# Variables of other programs that resemble the template's; a shell may have them.
_FOREIGN = frozenset({"CPUS", "LOGLEVEL", "NCPU"})


class VariablesError(Exception):
    """Wrong variables; the message lists the faults, each with its variable's name and place."""

    def __init__(self, faults: Iterable[str]) -> None:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(
            f"expected only variables that the template reads, with right values, found:{listed}\n"
            "Correct or remove them; nothing was changed."
        )


def environment(template: Path, shell: Mapping[str, str]) -> dict[str, str]:
    """Return the shell's variables and those of the file .env beside a template; raises VariablesFileError."""
    return dotenv.environment(dotenv.read(template.with_name(dotenv.FILE)), shell)


def place(template: Path, shell: Mapping[str, str], name: str) -> str:
    """Return where the value of a variable that is set comes from."""
    assignments = dotenv.read(template.with_name(dotenv.FILE))
    lines = [assignment.line for assignment in assignments if assignment.name == name]
    # Serverless Devs starts commands with the file's variables in their environment.
    from_file = lines and shell.get(name) in (None, dotenv.environment(assignments, {})[name])
    return f"{dotenv.FILE}, line {lines[-1]}" if from_file else "the shell"


def check(template: Path, shell: Mapping[str, str]) -> None:
    """Raise VariablesError if there are unknown variables, as `unknown` finds them."""
    if faults := unknown(template, shell):
        raise VariablesError(faults)


def unknown(template: Path, shell: Mapping[str, str]) -> list[str]:
    """Return a fault for each variable of the shell or of the file .env that looks like the template's but isn't.

    `shell` may have the file's variables already, as in a command that Serverless Devs runs. Raises VariablesFileError.
    """
    text = _text(template)
    if not text:
        return []  # the command itself reports a missing template
    known = sorted({*_READ.findall(text), *_GIVEN.findall(text)})
    content = dotenv.text(template.with_name(dotenv.FILE))
    assignments = dotenv.parse(content)
    in_file = {assignment.name for assignment in assignments}
    return [
        *_faults(((name, "the shell") for name in shell if name not in in_file), known),
        *_faults(((assigned.name, f"{dotenv.FILE}, line {assigned.line}") for assigned in assignments), known),
        *_skipped(content),
        *_misplaced(template, text),
    ]


def _text(template: Path) -> str:
    """Return the text of a template and of the template that it extends."""
    text = template.read_text(encoding="utf-8") if template.is_file() else ""
    extended = _EXTENDED.search(text)
    base = template.parent / extended[2] if extended else None
    return text + (base.read_text(encoding="utf-8") if base and base.is_file() else "")


def _faults(places: Iterable[tuple[str, str]], known: list[str]) -> Iterator[str]:
    """Yield a fault for each unknown name that looks like one of ours; `places` has names, each with its place."""
    for name, place in places:
        spelled = name.upper()
        if name in known or spelled.startswith(REFERENCES):
            continue
        if spelled.startswith(PREFIX):
            shorter = {other.removeprefix(PREFIX): other for other in known if other.startswith(PREFIX)}
            close = get_close_matches(spelled.removeprefix(PREFIX), shorter, n=1)
            hint = f"did you mean {shorter[close[0]]}?" if close else "docs/CONFIGURATION.md lists all settings"
        else:
            foreign = not place.startswith(dotenv.FILE) and _is_foreign(spelled, known)
            close = [] if foreign else get_close_matches(spelled, known, n=1, cutoff=_NEAR)
            hint = f"did you mean {close[0]}?" if close else ""
        if hint:
            yield f"{name} in {place}: no such setting; {hint}"


def _is_foreign(name: str, known: Iterable[str]) -> bool:
    """Return whether a shell's variable is another program's, such as PIP_LOG_LEVEL: one of ours with further words."""
    return name in _FOREIGN or any(other != name and f"_{other}_" in f"_{name}_" for other in known)


def _skipped(content: str) -> Iterator[str]:
    """Yield a fault for each skipped line of the file .env, without the line's text, which may be part of a secret."""
    for line in dotenv.skipped(content):
        yield (
            f"{dotenv.FILE}, line {line}: expected NAME=value, found a line that Serverless Devs skips; correct the "
            "line, or put # before it"
        )


def _misplaced(template: Path, text: str) -> Iterator[str]:
    """Yield a fault for each file .env beside a function's code, whose values Serverless Devs would prefer."""
    for folder in dict.fromkeys(match[2] for match in _CODE.finditer(text)):
        file = template.parent / folder / dotenv.FILE
        if file.exists():
            yield (
                f"{folder}/{dotenv.FILE}: Serverless Devs would read this file before {dotenv.FILE}; move its lines "
                f"into {dotenv.FILE} beside {template.name}"
            )
