"""Arguments of the local commands that argparse alone takes for others."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from local_emulator.__main__ import main, parser
from local_emulator.cli import provision_command
from local_emulator.cli.arguments import OPTIONS, TEXTS, parse
from local_emulator.provisioner import ProvisioningError
from provisioning.request import ACTIONS

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("text", ["-12", "-1.5", "-x", "--", "--x=1", "-1,2", "-", "- a", ""])
@pytest.mark.parametrize(("command", "option"), [("send", "value"), ("send", "key")])
def test_a_text_may_begin_with_a_minus_sign(command: str, option: str, text: str) -> None:
    options = parse(parser(), [command, f"--{option}", text, "--partition", "3"])
    assert (getattr(options, option), options.partition) == (text, 3)
    assert getattr(parse(parser(), [command, f"--{option}={text}"]), option) == text


def test_the_help_and_the_document_name_each_action() -> None:
    (subs,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    shown = " ".join(subs.choices["provision"].format_help().split())
    document = (ROOT / "docs/EMULATOR.md").read_text(encoding="utf-8")
    (row,) = (
        line for line in document.splitlines() if line.startswith("| `python -m local_emulator provision ACTION`")
    )
    assert [action for action in ACTIONS if action not in shown or action not in row] == []


def test_two_texts_are_two() -> None:
    options = parse(parser(), ["send", "--key", "-k", "--value", "-v"])
    assert (options.key, options.value) == ("-k", "-v")
    assert parse(parser(), ["send", "--value=--key"]).value == "--key"
    found = parse(parser(), ["fault", "set", "sql", "500", "--message", "-x"])
    assert found.message == "-x"


@pytest.mark.parametrize("words", [["--value"], ["--value", "--key", "k"], ["--key", "--partition=1"]])
def test_a_text_that_was_forgotten_is_asked_for(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(parser(), ["send", *words])
    assert ended.value.code == 2
    assert "expected one argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--json", "sql"], "the following arguments are required: statement"),
        (["sql", "--json"], "the following arguments are required: statement"),
        (["nosuch", "--json"], "invalid choice: 'nosuch'"),
        (["status", "--json", "--nosuch"], "unrecognized arguments: --nosuch"),
        (["send", "--json"], "send: name the record's --value"),
    ],
)
def test_wrong_arguments_are_an_error_in_json(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert expected in json.loads(output.out)["error"]
    assert expected in output.err
    with pytest.raises(SystemExit):
        main([word for word in words if word != "--json"])
    assert capsys.readouterr().out == ""


def test_the_options_that_may_follow_are_those_of_send() -> None:
    (subs,) = [one for one in parser()._actions if isinstance(one, argparse._SubParsersAction)]
    assert set(subs.choices["send"]._option_string_actions) == OPTIONS
    for command, texts in TEXTS.items():
        assert command in subs.choices
        assert all(text.startswith("--") for text in texts)


JSON = '{"create_table": true}'


@pytest.mark.parametrize(
    "words",
    [
        ["plan", JSON, "--json", "--set", "mode=KEY"],
        ["plan", "--json", JSON, "--set", "mode=KEY"],
        ["plan", "--json", "--set", "mode=KEY", JSON],
        ["--set", "mode=KEY", "plan", "--json", JSON],
        ["--json", "--set=mode=KEY", "plan", JSON],
    ],
)
def test_options_stand_anywhere_beside_an_action_and_its_json(words: list[str]) -> None:
    options = parse(parser(), ["provision", *words])
    assert (options.action, options.event, options.json, options.settings) == ("plan", JSON, True, [("mode", "KEY")])


@pytest.mark.parametrize("words", [["plan", JSON, JSON], ["plan", "--json", JSON, JSON], ["plan", "--jsn", JSON]])
def test_what_is_left_over_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(parser(), ["provision", *words])
    assert ended.value.code == 2
    assert "unrecognized arguments: " in capsys.readouterr().err


def test_an_action_in_the_json_isnt_dropped() -> None:
    options = parse(parser(), ["provision", "plan", '{"action": "apply"}'])
    with pytest.raises(ProvisioningError, match=r"expected JSON without the field action, .*; found action in it"):
        provision_command.run(options)
