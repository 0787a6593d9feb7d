"""docs/RUNBOOK.md has an entry for each error that the sink can raise."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.maxcompute import service

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs/RUNBOOK.md").read_text(encoding="utf-8")
SOURCES = [path for top in ("functions/sink", "layers") for path in sorted((ROOT / top).rglob("*.py"))]
BASES = {"ConnectorError", "BatchError"}
OF_RECORDS = {"RecordError"}
"""Errors of one record, which become dead letters; docs/OPERATIONS.md has their reasons."""


def trees() -> Iterator[ast.Module]:
    for path in SOURCES:
        yield ast.parse(path.read_text(encoding="utf-8"))


def errors() -> set[str]:
    """The names of the classes below ConnectorError, and of those that Powertools adds."""
    parents = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"CredentialsError"} & parents.keys()
    known = set(BASES)
    while new := {name for name, bases in parents.items() if bases & known} - known:
        known |= new
    return found | known - BASES - OF_RECORDS


def start_of(message: ast.expr) -> str:
    """The constant text that a message begins with."""
    first = message.values[0] if isinstance(message, ast.JoinedStr) else message
    return first.value.strip() if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def raised(name: str) -> set[str]:
    """The starts of the messages with which an error is raised."""
    return {
        start_of(node.args[0])
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    }


def entries() -> set[str]:
    """What stands in code in the headings and the first cells of the runbook's tables."""
    lines = [line.split(" | ")[0] for line in RUNBOOK.splitlines() if line.startswith(("| `", "### `"))]
    return {text for line in lines for text in line.split("`")[1::2]}


@pytest.mark.parametrize("error", sorted(errors()))
def test_each_error_has_an_entry(error: str) -> None:
    assert error in entries()


def test_no_entry_is_of_an_error_that_does_not_exist() -> None:
    named = {text for text in entries() if text.endswith("Error")}
    assert named == errors()


def test_each_message_of_a_ledger_error_has_an_entry() -> None:
    starts = raised("LedgerError")
    assert len(starts) >= 8
    missing = {start for start in starts if not any(start.startswith(text) for text in entries() if len(text) > 10)}
    assert missing == set()


def test_each_code_with_advice_has_an_entry() -> None:
    assert service._ADVICE.keys() <= entries()
