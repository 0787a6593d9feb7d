"""The documents keep up with the code: what is made of it, links, and the commands that they name.

`make docs-check` runs this, and the other tests of documents.
"""

from __future__ import annotations

import argparse
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from kafka_maxcompute.settings.settings import SETTINGS
from local_emulator.__main__ import parser
from tests import documents

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
ASSIGNED = re.compile(r"[A-Za-z_]+=")
PYTHONS = {"python", "python3", ".venv/bin/python"}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


# What is made of the code.


@pytest.mark.parametrize("document", documents.MADE)
def test_what_is_made_of_the_code_is_of_today(document: str) -> None:
    text = text_of(document)
    assert documents.MADE[document](text) == text, f"{document} differs from the code: run `make docs`"
    assert documents.TO_WRITE not in text, "a row is new: say in its last cell what it is"


def test_the_tables_have_a_row_for_each() -> None:
    assert text_of("docs/CONFIGURATION.md").count("\n| `CONNECTOR_") == len(SETTINGS)
    assert {"batches", "rejected:<reason>", "commit", "ledger_pending"} < documents.metrics().keys()


def test_a_row_is_made_anew_and_keeps_what_was_written_by_hand() -> None:
    text = text_of("docs/CONFIGURATION.md")
    (row,) = [line for line in text.splitlines() if line.startswith("| `CONNECTOR_MODE`")]
    told = row.split(" | ")[-1]
    wrong = text.replace(row, f"| `CONNECTOR_MODE` | `KEY` | anything | D01 | {told}")
    assert wrong != text
    assert documents.with_settings(wrong) == text
    without = documents.with_settings(text.replace(f"{row}\n", ""))
    assert without == text.replace(told, f"{documents.TO_WRITE} |")
    assert documents.with_settings(text.replace(row, f"{row}\n| `CONNECTOR_GONE` | `1` | a | D01 | b |")) == text


def test_a_table_that_has_lost_its_heading_or_marks_is_refused() -> None:
    for document, lost in (("CONTRIBUTING.md", "<!-- end of"), ("docs/OPERATIONS.md", "| metric | kind |")):
        with pytest.raises(ValueError, match="put"):
            documents.MADE[document](text_of(document).replace(lost, "gone"))
    with pytest.raises(ValueError, match="no row for CONNECTOR_NAME"):
        documents.with_settings(text_of("docs/CONFIGURATION.md").replace("| `CONNECTOR_NAME`", "|"))


def test_the_picture_has_an_arrow_for_each_import_that_follows_from_no_other() -> None:
    drawn = documents.floors({"index": {"a", "b"}, "a": {"b"}, "b": set(), "local_emulator": {"c"}, "c": set()})
    arrows = [line.strip() for line in drawn.splitlines() if " --> " in line]
    assert arrows == [
        'index["functions/*/index.py"] --> a',
        "a --> b",
        'local_emulator["local_emulator, cli"] --> c',
    ]
    assert {"maxcompute_sink", "provisioning"} <= documents.packages()["index"]
    assert documents.packages()["maxcompute"] == {"foundation"}


# Links.


def faulty_links(document: str, text: str) -> list[str]:
    """Links to files and sections that there aren't."""
    path = ROOT / document
    faults = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))):
        target, _, section = link.partition("#")
        if re.match(r"https?:|mailto:", target):
            continue
        linked = path.parent / target if target else path
        if not linked.exists() or (section and section not in sections(linked)):
            faults.append(link)
    return faults


def sections(document: Path) -> set[str]:
    """The names of a document's sections as GitHub makes them; of two equal ones, the second ends with -1."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    names: list[str] = []
    for heading in headings:
        name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return set(names)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_sections_that_there_are(document: str) -> None:
    assert faulty_links(document, text_of(document)) == []


def test_a_link_that_leads_nowhere_is_seen() -> None:
    text = "[a](docs/GONE.md) [b](docs/DESIGN.md#gone) [c](docs/DESIGN.md#floors) [d](#gone) [e](https://example.com)"
    assert faulty_links("README.md", text) == ["docs/GONE.md", "docs/DESIGN.md#gone", "#gone"]


def test_the_files_that_contributors_are_sent_to_are_there() -> None:
    """A module can be named by the end of its path."""
    folders = ("functions", "layers", "local_emulator", "tests")
    found = [*ROOT.glob("*.py"), *(path for name in folders for path in (ROOT / name).rglob("*.py"))]
    modules = "".join(f"/{path.relative_to(ROOT)}\n" for path in found)
    text = text_of("CONTRIBUTING.md")
    named = re.findall(r"`(?:((?:docs|functions|layers|local_emulator|tests)/[\w/.]+)|([\w/]+\.py))`", text)
    assert [path for path, _ in named if path and not (ROOT / path).exists()] == []
    assert [module for _, module in named if module and f"/{module}\n" not in modules] == []
    assert {bool(path) for path, _ in named} == {True, False}


# Commands.


def commands(text: str) -> list[list[str]]:
    """The words of each command in a text's blocks and spans of code, without the variables before it."""
    blocks = [block for language, block in FENCED.findall(text) if language in {"", "sh", "console"}]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    rest = FENCED.sub("", text)
    lines += re.findall(r"^ {4}(\S.*)$", rest, re.MULTILINE) + re.findall(r"`([^`\n]+)`", rest)
    found = []
    for line in lines:
        for part in re.split(r"&&|;", line.strip().removeprefix("$ ")):
            words = part.split()
            while words and ASSIGNED.match(words[0]):
                words.pop(0)
            if words:
                found.append([*words, ""] if len(words) == 1 else words)
    return found


def fault_of(words: list[str]) -> str | None:
    """What a command names that there isn't."""
    if words[0] == "make":
        targets = {word for word in words[1:] if re.fullmatch(r"[a-z][\w./-]*", word)}
        unknown = targets - set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
        return f"make has no {', '.join(sorted(unknown))}" if unknown else None
    if words[0] == "kafka-maxcompute":
        return fault_of_arguments(words[1:])
    if words[0] not in PYTHONS or words[1] != "-m":
        return None
    if words[2] == "local_emulator":
        return fault_of_arguments(words[3:])
    return None if find_spec(words[2]) else f"no module {words[2]}"


def fault_of_arguments(arguments: list[str]) -> str | None:
    """What the local cloud's command has not: a command, a command of this one, or an option of either."""
    at, name = parser(), "local_emulator"
    options = set(at._option_string_actions)
    rest = list(arguments)
    while subs := [action for action in at._actions if isinstance(action, argparse._SubParsersAction)]:
        words = [word for word in rest if not word.startswith("-")]
        if not words or not words[0]:
            break
        if words[0] not in subs[0].choices:
            return f"{name} has no command {words[0]}"
        rest = rest[rest.index(words[0]) + 1 :]
        at, name = subs[0].choices[words[0]], words[0]
        options |= set(at._option_string_actions)
    unknown = {word.split("=")[0] for word in arguments if word.startswith("--")} - options
    return f"{name} has no option {', '.join(sorted(unknown))}" if unknown else None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_those_that_there_are(document: str) -> None:
    faults = {shlex.join(words): fault for words in commands(text_of(document)) if (fault := fault_of(words))}
    assert faults == {}


def test_the_commands_of_the_documents_are_found() -> None:
    found = [words for document in DOCUMENTS for words in commands(text_of(document))]
    assert {"run", "test", "quick", "bootstrap", "layers"} <= {words[1] for words in found if words[0] == "make"}
    named = {words[3] for words in found if words[1:3] == ["-m", "local_emulator"] and len(words) > 3}
    assert {"up", "send", "sql", "maxcompute"} <= named


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Run `make gone`.", "make has no gone"),
        ("    python -m local_emulator gone\n", "local_emulator has no command gone"),
        ("```sh\nA=1 python -m local_emulator send --gone=1\n```\n", "send has no option --gone"),
        ("`.venv/bin/python -m tests.gone`", "no module tests.gone"),
        ("```console\n$ make run KAFKA=apache\n```\n", None),
        ("`python -m local_emulator --help`", None),
        ("`kafka-maxcompute gone`", "local_emulator has no command gone"),
    ],
)
def test_a_command_that_there_is_not_is_seen(text: str, fault: str | None) -> None:
    ((words),) = commands(text)
    assert fault_of(words) == fault
