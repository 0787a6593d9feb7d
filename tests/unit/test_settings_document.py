"""docs/CONFIGURATION.md lists exactly the settings, with their defaults, values and items; so does template.yml."""

from __future__ import annotations

import re
from datetime import timezone
from pathlib import Path

import pytest
import yaml

from fc_powertools import logger
from kafka_maxcompute.maxcompute.table import FIELD_TYPES
from kafka_maxcompute.settings.settings import PREFIX
from maxcompute_sink import csv_rows
from maxcompute_sink.arrow_types import arrow_type
from provisioning.request import RISKS

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for line in DOCUMENT.splitlines()
    if line.startswith(f"| `{PREFIX}")
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}


def test_it_lists_the_levels_of_the_log() -> None:
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{logger.LEVEL_VARIABLE}`"))
    assert ", ".join(f"`{level}`" for level in logger.LEVELS) in row


def test_it_lists_the_risks_with_their_meanings() -> None:
    section = DOCUMENT.partition("### Accepted risks")[2].partition("\n### ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert {name.strip("`"): meaning for name, meaning in rows} == RISKS


def test_template_passes_on_exactly_the_settings() -> None:
    template = yaml.safe_load((ROOT / "template.yml").read_text(encoding="utf-8"))
    variables = template["resources"]["sink"]["props"]["environmentVariables"]
    assert {name for name in variables if name.startswith(PREFIX)} == set(ROWS)


FORMS = [
    line.strip("| ").split(" | ")
    for line in DOCUMENT.partition("### The fields of CSV")[2].partition("## Delivery")[0].splitlines()
    if line.startswith("| `")
]
"""The table of CSV's forms: the columns' types, what is taken, examples."""


@pytest.mark.parametrize("name", FIELD_TYPES)
def test_the_forms_of_each_csv_field_are_listed_and_their_examples_taken(name: str) -> None:
    (row,) = [row for row in FORMS if re.search(rf"`{name}[`(]", row[0])]
    type_ = {"DECIMAL": "DECIMAL(10,2)", "VARCHAR": "VARCHAR(9)", "CHAR": "CHAR(9)"}.get(name, name)
    form = csv_rows.form(type_, arrow_type(type_), timezone.utc)
    examples = re.findall("`([^`]*)`", row[2]) if len(row) == 3 else []
    assert bool(examples) == (name not in {"STRING", "BINARY", "VARCHAR", "CHAR"})
    for example in examples:
        assert form.read is not None
        form.read(example)
