"""The file .env beside template.yml, which Serverless Devs and a shell read: variables are added, never changed."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "# Written by make bootstrap, from the Kafka instance; you may change these."
_NAME = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", re.MULTILINE)
_PLAIN = re.compile(r"[\w.:,/@%+-]*", re.ASCII)
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Written:
    """The variables that were added, and the variables that the file or the environment had already."""

    added: dict[str, str]
    kept: dict[str, str]


def add(path: Path, variables: Mapping[str, str], environment: Mapping[str, str]) -> Written:
    """Add the variables that neither the file nor the environment has, not even empty; replace the file atomically.

    Raises ValueError for a value that Serverless Devs and a shell would read differently.
    """
    path = path.resolve()
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    in_file = set(_NAME.findall(before))
    kept = {name: environment.get(name, "") for name in variables if name in in_file or name in environment}
    added = {name: value for name, value in variables.items() if name not in kept}
    lines = [f"{name}={_quoted(name, value)}\n" for name, value in added.items()]
    if lines:
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        _replace(path, f"{before}{gap}{HEADER}\n{''.join(lines)}")
    return Written(added, kept)


def _quoted(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if set(value) & set("'\n\r\\$"):
        raise ValueError(
            f"{name}: expected a value without quotes, backslashes, dollars and line ends, found {value!r}"
        )
    return f"'{value}'"


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically, with the permissions that it has; a new file is for its owner alone."""
    mode = path.stat().st_mode & 0o777 if path.exists() else _PRIVATE
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".env.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
