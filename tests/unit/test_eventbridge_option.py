"""The option of `up` that chooses the event stream's behaviour."""

from __future__ import annotations

import pytest

from local_emulator.__main__ import parser
from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions

pytestmark = pytest.mark.quick


def chosen(*arguments: str) -> EventBridgeAssumptions:
    words = [word for argument in arguments for word in ("--eventbridge", argument)]
    assumptions: EventBridgeAssumptions = parser().parse_args(["up", *words]).eventbridge
    return assumptions


def test_choices_add_up_and_leave_the_others_as_assumed() -> None:
    assert chosen() == EventBridgeAssumptions()
    assert chosen("elements=strings", "time_scale=0.5", "time_scale=0.01", "failures_as_200=false") == (
        EventBridgeAssumptions(elements="strings", time_scale=0.01, failures_as_200=False)
    )
    assert chosen() == EventBridgeAssumptions(), "one command's choices don't reach the next"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("elements", "expected NAME=VALUE with a NAME of dead_letters, elements, failures_as_200"),
        ("element=strings", "found 'element=strings'"),
        ("elements=arrays", "elements: Invalid enum value 'arrays'"),
        ("time_scale=0", "time_scale: Expected `float` > 0.0"),
        ("time_scale=quick", "time_scale: Expected `float`, got `str`"),
    ],
)
def test_a_wrong_choice_says_what_is_allowed(argument: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chosen(argument)
    assert expected in capsys.readouterr().err
