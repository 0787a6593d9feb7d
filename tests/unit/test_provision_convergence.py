"""One resource brought to what is wanted: from any state, through lost answers, kills and others who do the same."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc_powertools import Deadline
from kafka_maxcompute.errors import RefusedError, UnavailableError
from provisioning import convergence
from provisioning.cloud import Cloud
from provisioning.convergence import converge, dissolve
from provisioning.resource import Difference

pytestmark = pytest.mark.quick

NOT_HERE: Any = None
STATES = ("absent", "starting", "stopped", "failed", "other", "running")


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class Machine:
    """A resource in memory: it is made stopped, starts when it's switched on, and runs a look later.

    `make_fails` and `change_fails` are what the answers are: "lost" after it was done, "refused" with nothing done,
    "killed" before, "killed after", or "".
    """

    state: str = "absent"
    make_fails: str = ""
    change_fails: str = ""
    breaks: bool = False
    asked: list[str] = field(default_factory=list)
    title: str = "machine m"
    creates: bool = True
    made_by_hand: str = "build it"

    def look(self, _: Cloud) -> str | None:
        found = self.state
        if found == "starting":
            self.state = "failed" if self.breaks else "running"
        return None if found == "absent" else found

    def compare(self, found: str) -> tuple[Difference, ...]:
        remedies = {"starting": "wait", "stopped": "switch", "failed": "restart", "other": "by hand"}
        return (Difference("state", found, "running", remedies[found]),) if found in remedies else ()  # type: ignore[arg-type] # words of the type

    def make(self, _: Cloud) -> None:
        self._do("make", "stopped", self.make_fails)

    def change(self, _: Cloud, found: str) -> None:
        assert found in {"stopped", "failed"}
        self._do("change", "starting", self.change_fails)

    def remove(self, _: Cloud) -> None:
        self._do("remove", "absent", "")

    def _do(self, what: str, state: str, fails: str) -> None:
        self.asked.append(what)
        if fails == "killed":
            raise KilledError
        if fails == "refused" or (what == "make" and self.state != "absent"):
            raise RefusedError(f"{what}: exists or can't be", code="Refused")
        self.state = state
        if fails == "killed after":
            raise KilledError
        if fails == "lost":
            raise UnavailableError(f"{what}: no answer")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS", "JITTER_SECONDS"):
        monkeypatch.setattr(convergence, name, 0.001)


def cloud(seconds: float = 20.0) -> Cloud:
    return Cloud(NOT_HERE, "1880", NOT_HERE, NOT_HERE, Deadline.after(seconds))


def run(machine: Machine) -> None:
    converge(machine, cloud(), machine.look(cloud()), manual=False)


@pytest.mark.parametrize("state", [state for state in STATES if state != "other"])
def test_every_state_that_can_be_mended_ends_running(state: str) -> None:
    machine = Machine(state)
    run(machine)
    assert machine.state == "running"
    assert machine.asked.count("make") <= 1
    asked = list(machine.asked)
    run(machine)
    assert machine.asked == asked


FAULTS = st.sampled_from(["", "lost", "refused", "killed", "killed after"])


@given(st.sampled_from(STATES), FAULTS, FAULTS)
def test_whatever_goes_wrong_the_next_time_completes_it(state: str, make_fails: str, change_fails: str) -> None:
    """Once with a fault, then without: the end is the same, or a refusal that changed nothing."""
    machine = Machine(state, make_fails, change_fails)
    try:
        run(machine)
    except (KilledError, RefusedError, UnavailableError):
        pass
    else:
        assert machine.state == "running"
    machine.make_fails = machine.change_fails = ""
    if state == "other":
        with pytest.raises(RefusedError, match="machine m: state: other -> running"):
            run(machine)
        assert (machine.state, machine.asked) == ("other", [])
    else:
        run(machine)
        assert machine.state == "running"


def test_a_lost_answer_is_no_failure() -> None:
    machine = Machine(make_fails="lost", change_fails="lost")
    run(machine)
    assert (machine.state, machine.asked) == ("running", ["make", "change"])


def test_an_error_that_left_things_as_they_were_is_raised() -> None:
    with pytest.raises(RefusedError, match="make: exists or can't be"):
        run(Machine(make_fails="refused"))
    with pytest.raises(RefusedError, match="change: exists or can't be"):
        run(Machine("stopped", change_fails="refused"))


def test_what_doesnt_start_is_tried_once() -> None:
    machine = Machine("stopped", breaks=True)
    with pytest.raises(RefusedError, match="machine m doesn't start: state: failed -> running"):
        run(machine)
    assert machine.asked == ["change"]


def test_a_plan_that_is_old_by_now_does_no_harm() -> None:
    """Somebody else has made it between the look and the action."""
    machine = Machine("running")
    converge(machine, cloud(), None, manual=False)
    assert (machine.state, machine.asked) == ("running", ["make"])


def test_two_at_once_end_in_one_state() -> None:
    machine = Machine()
    both = [threading.Thread(target=run, args=(machine,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    assert machine.state == "running"


def test_it_says_what_it_was_waiting_for() -> None:
    machine = Machine("starting")
    machine.look = lambda _: "starting"  # type: ignore[method-assign] # a service that never gets ready
    with pytest.raises(UnavailableError, match="machine m: state: starting -> running; call again"):
        converge(machine, cloud(0.1), "starting", manual=False)


def test_what_is_gone_needs_no_removal() -> None:
    machine = Machine("running")
    assert dissolve(machine, cloud())
    assert not dissolve(machine, cloud())
    assert machine.asked == ["remove"]
