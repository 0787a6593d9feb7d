"""Prints at the end of a run what the random attacks did, also if workers of xdist ran them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PROPERTY = "attack"
"""The property of a test that has the counts of what was done, by what it was done to."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The sum of all attacks that passed; those that failed say themselves what they did."""
    told: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name == PROPERTY:
                for what, done in counts.items():
                    told.setdefault(what, Counter()).update(done)
    if told:
        terminalreporter.section("random attack")
    for what, done in told.items():
        listed = ", ".join(f"{count} {name}" for name, count in done.most_common())
        terminalreporter.line(f"{what}: {listed}")
