"""Each lock file is closed: what a pinned package needs, its extras and markers included, is pinned too.

The set-up installs with --no-deps, so no pip looks anything up. What a package needs is read from the metadata of the
environment that the tests run in. A pin for other Pythons alone isn't installed here; the quick tests run on each
supported Python, and there its metadata is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from tests.lock_files import ENVIRONMENTS, here, installed_requirements, pins, roots, unknown, unmet

if TYPE_CHECKING:
    from tests.lock_files import Pin

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.quick

LOCKS = ["layers/dependencies/requirements", "requirements", "requirements-dev"]
BUILD = "requirements-build"
HASH = " \\\n    --hash=sha256:" + "0" * 64 + "\n"


def text(lock: str) -> str:
    return (ROOT / f"{lock}.txt").read_text(encoding="utf-8")


def faults(lock: str, changed: str | None = None, environments: list[dict[str, str]] = ENVIRONMENTS) -> set[str]:
    """What a lock, or a changed text of it, lacks on any of these Pythons and platforms."""
    locked, asked = pins(text(lock) if changed is None else changed), roots(ROOT / f"{lock}.in")
    found = {fault for where in environments for fault in unmet(locked, asked, where, installed_requirements)}
    return found | {f"{pin}: not installed here" for pin in unknown(locked, installed_requirements)}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_all_that_its_pins_need_on_each_python(lock: str) -> None:
    assert faults(lock) == set()


@pytest.mark.parametrize("lock", [*LOCKS, BUILD, "requirements-mutants"])
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    assert [pin for pin in pins(text(lock)) if not pin.hashes] == []
    assert re.findall(r"https?:|--(?!hash=sha256:)\w+", text(lock)) == []


@pytest.mark.parametrize(("lock", "larger"), [(LOCKS[0], LOCKS[1]), (LOCKS[1], LOCKS[2])])
def test_a_larger_lock_has_the_pins_of_the_smaller_one(lock: str, larger: str) -> None:
    """An environment for tests is one for `make run` too, and the tests run with what the layer has."""

    def versions(name: str, where: dict[str, str]) -> set[tuple[str, str]]:
        return {(pin.name, str(pin.version)) for pin in pins(text(name)) if pin.applies(where)}

    for where in ENVIRONMENTS:
        assert versions(lock, where) - versions(larger, where) == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_without_any_one_of_its_pins_is_found(lock: str) -> None:
    entries = [entry for entry in re.split(r"^(?=\S)", text(lock), flags=re.MULTILINE) if entry]
    removable = [entry for entry in entries if pins(entry)[0].applies(here())]
    assert len(removable) > 10
    for removed in removable:
        assert faults(lock, "".join(entry for entry in entries if entry != removed), [here()]) != set(), removed


def test_a_lock_that_has_lost_its_extras_is_found() -> None:
    lost = text("requirements-dev").replace("coverage[toml]==", "coverage==")
    found = {fault for fault in faults("requirements-dev", lost) if fault.startswith("pytest-cov needs coverage[toml]")}
    assert {fault.rpartition(": ")[2] for fault in found} == {"pinned without the extra toml"}


def test_what_an_extra_needs_is_looked_for_where_it_applies() -> None:
    lost = "".join(
        entry
        for entry in re.split(r"^(?=\S)", text("requirements-dev"), flags=re.MULTILINE)
        if not entry.startswith("tomli==")
    )
    assert any("needs tomli" in fault and fault.endswith("not pinned") for fault in faults("requirements-dev", lost))


def needing(*requirements: str) -> dict[str, list[Requirement]]:
    return {"first": [Requirement(each) for each in requirements], "second": [], "third": []}


@pytest.mark.parametrize(
    ("lock", "needs", "expected"),
    [
        (["first==1"], ["second"], {"first needs second: not pinned"}),
        (["first==1", "second==1"], ["second>=2"], {"first needs second>=2: 1 is pinned"}),
        (["first==1", "second==2"], ["second>=2"], set()),
        (["first==1", "second==3.0rc1"], ["second>=2"], set()),
        # An extra that nobody asked for needs nothing; one that the lock names does.
        (["first==1"], ['second ; extra == "fast"'], set()),
        (["first[fast]==1"], ['second ; extra == "fast"'], {'first needs second; extra == "fast": not pinned'}),
        (["first==1", "second==1"], ["second[x]"], {"first needs second[x]: pinned without the extra x"}),
        # Needed on one Python, pinned on another one.
        (
            ["first==1", "second==1 ; python_full_version < '3.11'"],
            ['second ; python_version >= "3.13"'],
            {'first needs second; python_version >= "3.13": not pinned'},
        ),
        (["first==1"], ['second ; python_full_version <= "3.10.0"'], {"first needs second"}),
        (["first==1"], ['second ; sys_platform == "win32"'], {"first needs second"}),
        (["first==1"], ['second ; python_version < "3.10"'], set()),
        (["first==1", "first==2 ; python_version >= '3.12'"], [], {"first is pinned twice, to 1 and 2"}),
        (["third==1"], [], {"the requirements.in needs first: not pinned"}),
    ],
)
def test_what_a_lock_lacks(lock: list[str], needs: list[str], expected: set[str]) -> None:
    locked = pins("".join(line + HASH for line in lock))
    of = needing(*needs)

    def requirements_of(pin: Pin) -> list[Requirement]:
        return of[pin.name]

    found = {fault for where in ENVIRONMENTS for fault in unmet(locked, [Requirement("first")], where, requirements_of)}
    assert all(any(fault.startswith(start) for fault in found) for start in expected)
    assert all(any(fault.startswith(start) for start in expected) for fault in found)


@pytest.mark.parametrize("line", ["first", "first>=1", "first==1.*", "first @ file:///x", "first==1,<2"])
def test_what_is_no_pin_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected NAME==VERSION"):
        pins(line + HASH)


def test_a_pin_that_is_not_installed_on_its_python_is_named() -> None:
    locked = pins("".join(line + HASH for line in ["packaging==0.0.1", "pytest==1 ; python_version < '3'"]))
    assert unknown(locked, installed_requirements) == ["packaging==0.0.1"]
