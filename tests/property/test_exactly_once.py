"""Exactly once under attack, by the real delivery over ledgers, sessions and topics in memory.

Deliveries overlap, interleave, fail and die at any call, while the clock jumps, logs are compacted, sessions expire and
are forgotten, and topics are truncated, recreated and reset. `make soak` attacks with as many worlds as ATTACKS says,
other ones each time; ATTACK_SEED=n attacks with one world again, as a failure names it.
"""

from __future__ import annotations

import os
from secrets import randbits
from typing import TYPE_CHECKING

import pytest

from tests.attack_report import PROPERTY
from tests.property.attack import FOCUSES, Attack, Report
from tests.property.delivery_world import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.property.delivery_world import World

    Hit = Callable[[Iterable[int]], Report]

QUICK = 3 * len(FOCUSES)
"""Worlds of the quick test. Each aims at one call and one fate of it, some in vain, so that three for each do."""
MORE = 40
"""So many more worlds aim at a call and fate that none came to."""
AIMED = 10_000 * len(FOCUSES)
ATTACKS = int(os.environ.get("ATTACKS", "2000"))
PARTS = 4
"""Tests that share the attacks, so that they can run side by side."""
FIRST = randbits(40) if "ATTACKS" in os.environ else 1_000_000
"""The first seed: worlds are the same ones each time unless one asks for a number of them."""


pytestmark = pytest.mark.usefixtures("silent")


@pytest.fixture
def hit(monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]) -> Hit:
    """Attacks with seeds, and tells what was done."""
    worlds: list[World] = []
    patched(monkeypatch, worlds)

    def run(seeds: Iterable[int]) -> Report:
        report = Report()

        def attacked(seed: int) -> None:
            attack = Attack(seed)
            worlds[:] = [attack.world]
            attack.run()
            report.add(attack)

        for seed in seeds:
            attacked(seed)
        if "ATTACK_SEED" not in os.environ:
            # A world that aims at a call can miss it, and which do changes with the code.
            for focus in [one for one in FOCUSES if not report.met[one]]:
                for again in range(1, MORE):
                    if not report.met[focus]:
                        attacked(AIMED + again * len(FOCUSES) + FOCUSES.index(focus))
        record_property(PROPERTY, report.counts())
        return report

    return run


def seeds(first: int, count: int) -> Iterable[int]:
    """The seeds to attack with: one alone where it's named."""
    alone = os.environ.get("ATTACK_SEED")
    return range(first, first + count) if alone is None else [int(alone)]


def all_met(report: Report) -> bool:
    return not report.missing() or "ATTACK_SEED" in os.environ


@pytest.mark.quick
def test_every_record_is_there_once_whatever_happens(hit: Hit) -> None:
    report = hit(seeds(0, QUICK))
    assert all_met(report), f"an attack that never came to {report.missing()}"


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_record_is_there_once_in_many_worlds(hit: Hit, part: int) -> None:
    count = max(QUICK, ATTACKS // PARTS)
    report = hit(seeds(FIRST + part * count, count))
    assert all_met(report), f"an attack that never came to {report.missing()}"
