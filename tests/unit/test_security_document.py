"""docs/SECURITY.md: each threat names a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "SECURITY.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Threats\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def named_in(file: str) -> set[str]:
    """The tests of a file, those in classes too."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_threat_names_a_test_that_there_is() -> None:
    found = rows()
    assert len(found) > 20
    for threat, against, test in found:
        assert threat
        assert against
        match = NAMED.fullmatch(test)
        assert match, f"{threat}: expected `file::test`, found {test}"
        assert match[2] in named_in(match[1]), f"{threat}: {match[1]} has no {match[2]}"


def test_readme_leads_there() -> None:
    assert "(docs/SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
