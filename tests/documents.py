"""Makes what the documents show of the code: `make docs` writes it, `make docs-check` says where it differs.

Made from the code are the picture of the floors in CONTRIBUTING.md, between two marks, and the tables of settings
(docs/CONFIGURATION.md) and of metrics (docs/OPERATIONS.md). What a setting does and what a metric is stand in the last
column of these tables only. They are written there by hand, and kept with their row.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_maxcompute.settings.settings import PREFIX, SETTINGS
from local_emulator.cli import cost_command
from local_emulator.sizing import Load, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kafka_maxcompute.settings.setting import Setting

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("functions/sink", "functions/provision", "layers/connector/python", "layers/powertools/python", ".")
"""The folders whose modules are imported by the names below them."""
LABELS = {"index": "functions/*/index.py", "local_emulator": "local_emulator, cli"}
METRIC_KINDS = {"count": "counter", "gauge": "gauge", "timed": "timing", "duration": "timing"}
DERIVED = {"{error_topic}": "*(the error topic)*", "{region}": "*(the region)*"}
TO_WRITE = "**to be written**"
"""The last cell of a row that is new."""


# The picture of the floors.


def imported(source: Path) -> set[str]:
    """The dotted names that a file imports anywhere, also inside functions and for typing only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules() -> Mapping[str, list[Path]]:
    """The files of each of the project's modules by its dotted name; each function has its own `index`."""
    found: dict[str, list[Path]] = {}
    for top in TOPS:
        folder = ROOT / top
        below = [folder / "deployment", folder / "local_emulator"] if top == "." else [folder]
        for source in sorted(source for place in below for source in place.rglob("*.py")):
            name = ".".join(source.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            found.setdefault(name, []).append(source)
    return found


def packages() -> dict[str, set[str]]:
    """Which package imports which; each service of the local emulator is one."""
    own = modules()
    found: dict[str, set[str]] = {_package(module): set() for module in own}
    for module, sources in own.items():
        needs = {_package(name) for source in sources for name in imported(source)}
        found[_package(module)] |= needs & found.keys() - {_package(module)}
    return found


def _package(module: str) -> str:
    top, *below = module.split(".")
    own = top != "local_emulator" or not below or below[0] == "cli" or not (ROOT / top / below[0]).is_dir()
    return top if own else below[0]


def floors(imports: Mapping[str, set[str]]) -> str:
    """The picture: an arrow for each import between packages that doesn't follow from the others."""
    lines = ["```mermaid", "flowchart TD"]
    for package in sorted(imports, key=lambda name: (-len(_below(name, imports)), name)):
        lower = imports[package]
        arrows = sorted(lower - {far for near in lower for far in _below(near, imports)})
        if arrows:
            lines.append(f"    {_node(package)} --> {' & '.join(map(_node, arrows))}")
    lines.append('    local_emulator -. "template.yml, HTTP, Kafka" .-> index')
    return "\n".join([*lines, "```"])


def _below(package: str, imports: Mapping[str, set[str]]) -> set[str]:
    """The packages that a package needs, directly or not."""
    found: set[str] = set()
    wanted = [package]
    while wanted:
        new = imports[wanted.pop()] - found
        found |= new
        wanted += new
    return found


def _node(package: str) -> str:
    return f'{package}["{LABELS[package]}"]' if package in LABELS else package


def with_floors(text: str) -> str:
    """CONTRIBUTING.md with the picture of today."""
    begin, end = "<!-- floors: made by `make docs` -->\n", "\n<!-- end of the floors -->"
    return _between(text, begin, end, floors(packages()))


# The table of settings.


def default(setting: Setting) -> str:
    """A setting's default as the document shows it."""
    if setting.required:
        return "*(must be given)*"
    if setting.derived:
        return DERIVED.get(setting.derived, f"`{setting.derived.replace('{name}', '<name>')}`")
    text = str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default)
    return f"`{text}`" if text else "*(empty)*"


def may_be(setting: Setting) -> str:
    """What a setting may be, in the words of the message about a wrong value."""
    expected = setting.kind.expected
    listed = re.fullmatch(r"one of (.*)", expected) or re.fullmatch(r"(true) or (false)", expected)
    if listed:
        return ", ".join(f"`{value}`" for value in ", ".join(listed.groups()).split(", "))
    return re.sub(r"'([^']*)'(?!\w)", r"`\1`", expected)


def with_settings(text: str) -> str:
    """docs/CONFIGURATION.md with a row for each setting of today; a new one follows the one before it in the code."""
    rows = {
        PREFIX + field.upper(): [default(setting), may_be(setting), setting.item or "\N{EN DASH}"]
        for field, setting in SETTINGS.items()
    }
    return _table(text, rows, f"| `{PREFIX}")


# The table of metrics.


def metrics() -> dict[str, list[str]]:
    """Kind and unit of each metric that the sink writes, in the order of the names."""
    found: dict[str, list[str]] = {}
    for source in sorted((ROOT / "functions/sink").rglob("*.py")):
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _of_metrics(call.func):
                kind = METRIC_KINDS[call.func.attr]
                unit = "Milliseconds" if kind == "timing" else "".join(map(_unit, call.args[2:])) or "Count"
                name = _metric(call.args[0])
                if name and found.setdefault(name, [kind, unit]) != [kind, unit]:
                    raise ValueError(f"{source}: metric {name} is {found[name]} elsewhere; take another name")
    return dict(sorted(found.items()))


def _of_metrics(function: ast.Attribute) -> bool:
    """Whether it is a method of the metrics that writes one."""
    owner = function.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name == "metrics" and function.attr in METRIC_KINDS


def _unit(given: ast.expr) -> str:
    """A unit as it is given; a name of one would have to be looked up."""
    assert isinstance(given, ast.Constant), f"line {given.lineno}: expected a metric's unit, found {ast.unparse(given)}"
    return str(given.value)


def _metric(name: ast.expr) -> str:
    """A metric's name, with <reason> where a variable of this name comes; "" if a constant is one value of such."""
    if isinstance(name, ast.Constant):
        return str(name.value)
    assert isinstance(name, ast.JoinedStr), f"line {name.lineno}: expected a metric's name, found {ast.unparse(name)}"
    start, varying = name.values
    assert isinstance(start, ast.Constant)
    assert isinstance(start.value, str)
    assert isinstance(varying, ast.FormattedValue)
    words = ast.unparse(varying.value).split(".")
    return "" if words[-1].isupper() else f"{start.value}<{words[0]}>"


def with_metrics(text: str) -> str:
    """docs/OPERATIONS.md with a row for each metric of today."""
    before, heading, rest = text.partition("| metric | kind | unit |")
    if not heading:
        raise ValueError("docs/OPERATIONS.md: expected a table | metric | kind | unit | ...; put its heading back")
    table, gap, after = rest.partition("\n\n")
    return before + heading + _table(table, metrics(), "| `") + gap + after


# The table of sizes and costs.


def with_sizing(text: str) -> str:
    """docs/SIZING.md with the table that the command `cost` prints."""
    loads = [Load(records=rate) for rate in cost_command.RATES]
    rows = cost_command.rows(loads, [size(load) for load in loads])
    heading = ["records a second", *(f"{rate:,.0f}" for rate in cost_command.RATES)]
    cells = [heading, ["---", *("---:" for _ in loads)], *rows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    return _between(text, "<!-- sizing: made by `make docs` -->\n", "\n<!-- end of sizing -->", table)


# What they have in common.


def _between(text: str, begin: str, end: str, content: str) -> str:
    """The text with this content between two marks; ValueError names marks that aren't there."""
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"expected the lines {begin.strip()} and {end.strip()}; put them back")
    return before + begin + content + end + after


def _table(text: str, rows: Mapping[str, Sequence[str]], start: str) -> str:
    """The text with these rows by the name in their first cell; the rows' order and their last cells are kept."""
    names = list(rows)
    lines: list[str] = []
    written: list[str] = []

    def write(name: str, told: str) -> None:
        lines.append(f"| `{name}` | {' | '.join(rows[name])} | {told} |")
        written.append(name)

    there = dict(_rows(text, start))
    for line in text.split("\n"):
        if not line.startswith(start):
            lines.append(line)
            continue
        name = line.split("`")[1]
        if name in rows and name not in written:
            write(name, there[name])
            for new in names[names.index(name) + 1 :]:
                if new in there:
                    break
                write(new, TO_WRITE)
    if left := rows.keys() - set(written):
        raise ValueError(
            f"no row for {', '.join(sorted(left))}: expected one after that of what comes before it; add it"
        )
    return "\n".join(lines)


def _rows(text: str, start: str) -> Iterator[tuple[str, str]]:
    """Name and last cell of each row."""
    for line in text.split("\n"):
        if line.startswith(start):
            yield line.split("`")[1], line.removesuffix(" |").rpartition(" | ")[2]


MADE: Mapping[str, Callable[[str], str]] = {
    "CONTRIBUTING.md": with_floors,
    "docs/CONFIGURATION.md": with_settings,
    "docs/OPERATIONS.md": with_metrics,
    "docs/SIZING.md": with_sizing,
}
"""The function that updates each document: from its present text to the text that the code gives."""


def main() -> int:
    """Write what differs; the exit code."""
    unwritten = 0
    for name, made in MADE.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = made(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{name}: updated")
        unwritten += after.count(TO_WRITE)
    if unwritten:
        print(f"{unwritten} row(s) say {TO_WRITE}: say there what the setting does, or what the metric is")
    return int(unwritten > 0)


if __name__ == "__main__":
    sys.exit(main())
