"""The benchmark of the ledger with few batches: its bars are kept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks/ledger.py"


def ran(*options: str) -> str:
    """What the benchmark prints, if no bar is missed."""
    found = subprocess.run(
        [sys.executable, PROGRAM, *options], capture_output=True, text=True, timeout=240, check=False
    )
    assert (found.returncode, found.stderr) == (0, ""), found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize("scenario", ["every 2", "random 3, 200"])
def test_sparse_topics_keep_the_bars(scenario: str) -> None:
    assert f"| {scenario}" in ran("--batches", "60", "--only", scenario)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_transactions_of_one_record_keep_the_bars_on_a_real_broker() -> None:
    left = re.search(r"cold start .*; (\d+) of 400 gaps remain", ran("--apache", "400"))
    assert left is not None
    # The gaps of the last round of batches, and as many gaps as the upkeep tolerates.
    assert int(left[1]) <= 40 + 40 + 10
