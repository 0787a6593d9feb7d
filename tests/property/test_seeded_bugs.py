"""The random attack finds the bugs that are seeded into the production code, by itself and with few worlds each.

So what judges the deliveries is judged here. Those that it doesn't find for sure in so few worlds are named with the
unit tests that find them.
"""

from __future__ import annotations

import pytest

from tests.property.attack import Attack
from tests.property.delivery_world import World, patched
from tests.property.mutation import seeded
from tests.property.seeded_bugs import BUGS, FOUND_OTHERWISE

WORLDS = 1_000
"""So many worlds are attacked at the most to find a bug."""
LEAST_BUGS = 25
LEAST_SHARE = 0.8


def found_by_attack(monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What the attack finds wrong, in the world of the first seed that shows anything."""
    worlds: list[World] = []
    patched(monkeypatch, worlds)
    for seed in range(WORLDS):
        attack = Attack(seed)
        worlds[:] = [attack.world]
        try:
            attack.run()
        except AssertionError as error:
            return str(error)
    return None


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", [name for name in BUGS if name not in FOUND_OTHERWISE])
def test_the_attack_alone_finds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with seeded(BUGS[name]):
        assert found_by_attack(monkeypatch), f"{name}: not found in {WORLDS} worlds"


@pytest.mark.quick
def test_the_attack_alone_finds_four_of_five_bugs() -> None:
    """Each of them in the test above."""
    assert FOUND_OTHERWISE.keys() <= BUGS.keys()
    assert len(BUGS) >= LEAST_BUGS
    assert len(BUGS) - len(FOUND_OTHERWISE) >= LEAST_SHARE * len(BUGS)


@pytest.mark.quick
@pytest.mark.parametrize("name", BUGS)
def test_each_bug_is_a_change_to_the_code_as_it_is(name: str) -> None:
    with seeded(BUGS[name]):
        pass
