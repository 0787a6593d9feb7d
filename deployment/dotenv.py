r"""Reads the file .env beside a template exactly as Serverless Devs does.

Serverless Devs 3.1.10 reads the file with the packages dotenv 16.3.1 and dotenv-expand 10.0.0. Their rules:

- `NAME=value`, `export NAME=value` or `NAME: value`; spaces around name and value don't count.
- A `#` begins a comment, also inside an unquoted value. In quotes (', " or `) it is part of the value.
- A quoted value may have several lines. In double quotes \n and \r are line ends.
- `$OTHER`, `${OTHER}` and `${OTHER:-default}` are replaced, in every kind of quotes; `\$` is a dollar.
- If a name is set twice, the last line counts. Lines without an assignment are skipped; `skipped` finds mistakes there.
- A variable of the shell takes precedence over the file, even if the variable is empty.

But a file that isn't text in UTF-8 is refused: Serverless Devs would read other values than the file's, or none.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FILE = ".env"
_PRIVATE = 0o600

# JavaScript's \s, which has the byte order mark; its \w has only ASCII.
_SPACES = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_S = f"[{_SPACES}]"
_ASSIGNMENT = re.compile(
    rf"^{_S}*(?:export{_S}+)?(?P<name>[A-Za-z0-9_.-]+)(?:{_S}*=|:{_S}+?)"
    rf"(?P<value>{_S}*'(?:\\'|[^'])*'|{_S}*\"(?:\\\"|[^\"])*\"|{_S}*`(?:\\`|[^`])*`|[^#\n]+)?"
    rf"{_S}*(?:\#[^\n]*)?$",
    re.MULTILINE,
)
_INTENDED = re.compile(r"[^#=:]*(?:=|\w:\S)")
_QUOTED = re.compile(r"^(['\"`])([\s\S]*)\1$", re.MULTILINE)
_DOLLAR = re.compile(r"(?<!\\)\$")
_REFERENCE = re.compile(r"(?<!\\)\$\{?(?P<name>[A-Za-z0-9_]+)(?::-(?P<default>[^}\\]*))?\}?")
_MOST_REPLACED, _LONGEST = 200, 100_000


class VariablesFileError(Exception):
    """The file .env can't be read, or a variable's references have no end; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One assignment of the file; `line` counts from 1, and `value` still has its references."""

    name: str
    value: str
    line: int


def read(path: Path) -> list[Assignment]:
    """Return the assignments of a file in their order; none if the file doesn't exist. Raises VariablesFileError."""
    return parse(text(path))


def text(path: Path) -> str:
    """Return the text of a file, "" if the file doesn't exist; raises VariablesFileError if it isn't text in UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return ""
        raise VariablesFileError(
            f"{path}: expected a readable file of variables, found: {error.strerror}; make the file readable, or "
            "remove it"
        ) from error
    wrong = content.find(0)
    try:
        decoded = content.decode()
    except UnicodeDecodeError as error:
        wrong = error.start if wrong < 0 else min(wrong, error.start)
    if wrong < 0:
        return decoded
    line = 1 + content.count(b"\n", 0, wrong)
    raise VariablesFileError(
        f"{path}: expected text in UTF-8, found line {line} with the byte 0x{content[wrong]:02x}; save the file as "
        "UTF-8"
    )


def parse(content: str) -> list[Assignment]:
    """Return the assignments of a file's text."""
    content = _with_plain_line_ends(content)
    return [
        Assignment(match["name"], _unquoted(match["value"] or ""), 1 + content.count("\n", 0, match.start("name")))
        for match in _ASSIGNMENT.finditer(content)
    ]


def skipped(content: str) -> Iterator[int]:
    """Yield the number of each line that looks like an assignment but isn't one."""
    rest = _ASSIGNMENT.sub(lambda match: "\n" * match[0].count("\n"), _with_plain_line_ends(content))
    for number, line in enumerate(rest.split("\n"), 1):
        if _INTENDED.match(line.strip(_SPACES)):
            yield number


def _with_plain_line_ends(content: str) -> str:
    return content.replace("\r\n", "\n").replace("\r", "\n")


def environment(assignments: Iterable[Assignment], shell: Mapping[str, str]) -> dict[str, str]:
    """Return the shell's variables and those of the file; raises VariablesFileError for an endless reference.

    As in Serverless Devs, a shell's variable that the file assigns, too, gets its references replaced as well.
    """
    in_file = {assignment.name: assignment.value for assignment in assignments}
    merged = {**in_file, **shell}
    for name in in_file:  # the replaced values are seen by the names after this one
        in_file[name] = _expanded(name, merged, in_file)
    return {**merged, **in_file}


def assign(path: Path, values: Mapping[str, str], *, header: str) -> bool:
    """Set variables in a file, each in the line that counts, else below `header` at the end; return if it changed.

    Values are plain: letters, digits and marks that need no quotes. The file is replaced atomically and keeps its
    permissions; a new file is for its owner alone.
    """
    path = path.resolve()
    before = path.read_bytes().decode("utf-8") if path.exists() else ""
    now = environment(parse(before), {})
    changed = {name: value for name, value in values.items() if now.get(name) != value}
    text = before
    for name, value in changed.items():
        text = re.sub(rf"^[ \t]*(export[ \t]+)?{name}[ \t]*=[^\r\n]*", f"{name}={value}", text, flags=re.MULTILINE)
    now = environment(parse(text), {})
    missing = [f"{name}={value}\n" for name, value in changed.items() if now.get(name) != value]
    if missing:
        text += ("" if not text else "\n" if text.endswith("\n") else "\n\n") + f"{header}\n{''.join(missing)}"
    if text != before:
        _replace(path, text)
    return text != before


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else _PRIVATE
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{FILE}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
    draft = Path(name)
    draft.chmod(mode)
    draft.replace(path)


def _unquoted(value: str) -> str:
    value = value.strip(_SPACES)
    double = value[:1] == '"'
    value = _QUOTED.sub(r"\2", value)
    return value.replace("\\n", "\n").replace("\\r", "\r") if double else value


def _expanded(name: str, merged: Mapping[str, str], in_file: Mapping[str, str]) -> str:
    """Return a variable's value without references; the last reference is replaced first, again and again."""
    value = merged[name]
    for _ in range(_MOST_REPLACED):
        if len(value) > _LONGEST:
            break
        dollars = list(_DOLLAR.finditer(value))
        reference = _REFERENCE.search(value, dollars[-1].start()) if dollars else None
        if reference is None:
            return value.replace("\\$", "$")
        other = merged.get(reference["name"]) or reference["default"] or in_file.get(reference["name"], "")
        value = value.replace(reference[0], other, 1)
    raise VariablesFileError(
        f"{name}: expected references that end, found one that leads back to itself; put a backslash before a dollar "
        "that is part of the value"
    )
