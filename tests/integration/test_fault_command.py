"""``python -m local_emulator fault`` against a running emulator."""

from __future__ import annotations

import os
import socket
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from odps.errors import ODPSError

from local_emulator.__main__ import main
from local_emulator.endpoints import Endpoints
from local_emulator.foundation.clock import CLOCK
from local_emulator.foundation.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from odps import ODPS

    from local_emulator.maxcompute import server

    Command = Callable[..., str]


@pytest.fixture
def command(emulator: server.MaxComputeServer, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `fault` with some words against the emulator; what it prints."""

    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(["fault", "--endpoint", emulator.endpoint, *words]) == 0
        return capsys.readouterr().out

    return run


def test_a_fault_is_set_seen_and_cleared(command: Command, emulator: server.MaxComputeServer, owner: ODPS) -> None:
    said = command("set", "table.get", "404", "--code", "NoSuchThing", "--message", "gone", "--times", "2")
    assert said == "fault 1: table.get 404 NoSuchThing, times 2\n"
    with pytest.raises(ODPSError, match="gone"):
        owner.get_table("test_kafka").reload()
    sentence = "fault 1: table.get 404 NoSuchThing, times 2; fired 1 (table.get 1), applied 0\n"
    assert command("list") == sentence
    assert command("clear") == f"cleared {sentence}"
    assert command("list") == command("clear") == "no faults are set\n"
    owner.get_table("test_kafka").reload()
    assert emulator.app[FAULTS].armed == ()


def test_every_option_reaches_the_fault(command: Command, emulator: server.MaxComputeServer) -> None:
    command(
        *("set", "upload.*", "reset", "--applied", "--delay", "1.5", "--always"),
        *("--probability", "0.5", "--seed", "9", "--session", "abc"),
    )
    (made,) = emulator.app[FAULTS].all()
    fault = made.fault
    assert (fault.operation, fault.answer, fault.applied, fault.delay_seconds) == ("upload.*", "reset", True, 1.5)
    assert (fault.times, fault.probability, fault.seed, fault.session) == (None, 0.5, 9, "abc")
    sentence = "upload.* reset, applied, delay 1.5 s, session abc, probability 0.5, until cleared; never fired"
    assert sentence in command("list")


def test_one_of_several_is_cleared(command: Command, emulator: server.MaxComputeServer) -> None:
    command("set", "sql", "500")
    command("set", "project.get", "truncate")
    assert "cleared fault 1: sql 500, times 1; never fired" in command("clear", "1")
    assert [made.number for made in emulator.app[FAULTS].all()] == [2]


def test_operations_are_listed(command: Command) -> None:
    assert {"upload.commit", "sql", "partition.list", "authorization"} <= set(command("operations").split())


def test_the_time_is_shown_and_shifted(command: Command, emulator: server.MaxComputeServer) -> None:
    assert command("clock", "--shift", "90000", "--skew", "-5").endswith("by 90000 s; dates of requests by -5 s\n")
    assert command("clock").endswith("by 90000 s; dates of requests by -5 s\n")
    assert emulator.app[CLOCK].shift.total_seconds() == 90_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "upload.comit", "500"), "no operation is called 'upload.comit'; expected one of upload.commit"),
        (("set", "sql", "explode"), "expected an HTTP status from 400 to 599, or one of reset, "),
        (("set", "sql", "200"), "found '200'"),
        (("clear", "3"), "there is no fault 3"),
    ],
)
def test_what_is_refused_is_said_without_a_traceback(
    emulator: server.MaxComputeServer, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main(["fault", "--endpoint", emulator.tunnel_endpoint, *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said


def test_nobody_or_nothing_of_ours_at_the_endpoint_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        assert main(["fault", "--endpoint", f"http://{address}", "list"]) == 1
    assert f"nothing answers at {address}" in capsys.readouterr().err
    assert main(["fault", "--endpoint", "127.0.0.1", "list"]) == 1
    assert "expected a URL" in capsys.readouterr().err


def test_the_running_cloud_is_found(
    emulator: server.MaxComputeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["fault", "list"]) == 1
    assert "no local cloud is running" in capsys.readouterr().err
    needed: dict[str, Any] = {"pid": os.getpid(), "tunnel": emulator.tunnel_endpoint, "trigger": {}}
    with Endpoints(**dict.fromkeys((field.name for field in fields(Endpoints)), "") | needed).published():
        assert main(["fault", "list"]) == 0
    assert capsys.readouterr().out == "no faults are set\n"
