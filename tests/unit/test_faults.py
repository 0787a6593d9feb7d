"""Faults as such: what may be set, which requests one is for, and how often it happens."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
import pytest

from local_emulator.cli import fault_command
from local_emulator.foundation.faults import Fault, FaultError, Faults, SetFault, parse
from local_emulator.maxcompute.operations import NAMES

pytestmark = pytest.mark.quick


def fault(**fields: Any) -> Fault:
    return Fault(**{"operation": "upload.commit", "answer": "reset", **fields})


def hits(made: SetFault, *operation_names: str, session: str = "s", signed: bool = True) -> list[bool]:
    return [made.hit(name, session, signed=signed) for name in operation_names]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"operation": "upload.commit"}', "missing required field `answer`"),
        ('{"operation": "upload.commit", "answer": "explode"}', "Invalid enum value 'explode' - at `$.answer`"),
        ('{"operation": "upload.commit", "answer": "reset", "time": 1}', "unknown field `time`"),
        ('{"operation": "upload.comit", "answer": "reset"}', "'upload.comit'; expected one of upload.commit"),
        ('{"operation": "upload.commit", "answer": "status"}', "needs a status"),
        ('{"operation": "upload.commit", "answer": "reset", "status": 500}', "no other, needs a status"),
        ('{"operation": "upload.commit", "answer": "status", "status": 200}', "at `$.status`"),
        ('{"operation": "upload.commit", "answer": "status", "status": 404}', "a code is needed for status 404"),
        ('{"operation": "upload.commit", "answer": "reset", "code": "A"}', "'reset' has no code"),
        ('{"operation": "upload.commit", "answer": "delay"}', "needs delay_seconds"),
        ('{"operation": "upload.commit", "answer": "delay", "delay_seconds": 601}', "`$.delay_seconds`"),
        ('{"operation": "upload.commit", "answer": "reset", "times": 0}', "`$.times`"),
        ('{"operation": "upload.commit", "answer": "reset", "probability": 0}', "`$.probability`"),
        ('{"operation": "*", "answer": "expired-token", "applied": true}', "never applied"),
    ],
)
def test_what_says_nothing_or_two_things_is_refused(body: str, complaint: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse(body.encode(), NAMES)
    assert caught.value.code == "InvalidArgument"
    assert complaint in caught.value.message


def test_a_fault_happens_to_the_next_requests_of_its_operation() -> None:
    made = SetFault(1, fault(times=2))
    assert hits(made, "upload.create", "upload.commit", "upload.status", "upload.commit") == [False, True, False, True]
    assert made.spent
    assert made.hits == {"upload.commit": 2}


def test_a_pattern_is_for_several_operations_and_counts_each() -> None:
    made = SetFault(1, fault(operation="upload.*", times=None))
    assert hits(made, "upload.create", "download.create", "upload.block", "upload.block") == [True, False, True, True]
    assert made.hits == {"upload.create": 1, "upload.block": 2}
    assert not made.spent


def test_a_fault_of_a_session_leaves_others_alone() -> None:
    made = SetFault(1, fault(session="mine"))
    assert hits(made, "upload.commit", session="other") == [False]
    assert hits(made, "upload.commit", session="mine") == [True]


def test_a_token_expires_only_where_one_signs() -> None:
    made = SetFault(1, fault(answer="expired-token"))
    assert hits(made, "upload.commit", signed=False) == [False]
    assert hits(made, "upload.commit", signed=True) == [True]


def test_chance_is_the_same_each_time_and_another_with_another_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        return hits(SetFault(1, fault(probability=0.3, times=None, seed=seed)), *["upload.commit"] * 1000)

    assert drawn(7) == drawn(7) != drawn(8)
    assert 230 < sum(drawn(7)) < 370


def test_the_oldest_armed_fault_that_fits_happens_and_is_disarmed_when_spent() -> None:
    faults = Faults(NAMES)
    first, second = faults.set(fault(operation="upload.*")), faults.set(fault(times=2))
    taken = [faults.take("upload.commit", "s", signed=True) for _ in range(4)]
    assert taken == [first, second, second, None]
    assert faults.armed == ()
    assert [one.fired for one in faults.all()] == [1, 2]


def test_a_cleared_fault_does_not_happen() -> None:
    faults = Faults(NAMES)
    first, second = faults.set(fault()), faults.set(fault(operation="sql"))
    assert faults.clear(first.number) == [first]
    assert faults.take("upload.commit", "s", signed=True) is None
    with pytest.raises(FaultError, match="there is no fault 1; there are: 2"):
        faults.get(first.number)
    assert faults.clear() == [second]
    assert faults.armed == ()


def test_what_is_shown_of_a_fault_can_be_set_again() -> None:
    made = fault(answer="status", status=429, code="SlotExceeded", times=None, delay_seconds=0.5)
    assert parse(msgspec.json.encode(made), NAMES) == made


@pytest.mark.parametrize("answer", ["999", "200", "explode"])
def test_the_command_says_what_an_answer_can_be(answer: str) -> None:
    parser = argparse.ArgumentParser()
    fault_command.add_arguments(parser)
    options = parser.parse_args(["--endpoint", "http://127.0.0.1:1", "set", "upload.block", answer])
    with pytest.raises(
        fault_command.FaultCommandError, match=f"expected an HTTP status from 400 to 599, or .*; found '{answer}'"
    ):
        fault_command.run(options)
