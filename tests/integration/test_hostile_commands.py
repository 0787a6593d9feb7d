"""Every command with hostile arguments, files, streams and settings: no traceback, but what was expected; 1 or 2."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.__main__ import parser
from provisioning.actions import ACTIONS
from tests.local_cloud import plain_environment, up
from tests.project_copy import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Words = list[bytes]

STARTING = {"up", "demo", "maxcompute"}
"""Commands that serve: with arguments that can be had they run until they are ended."""
PLAIN = {"file": b"missing.json", "statement": b"select 1", "action": b"plan", "answer": b"500", "id": b"1"}
HOSTILE = [
    b"",
    b"caf\xe9",
    b"9" * 5_000,
    b"-1",
    "\u0663".encode(),
    b"/",
    b"/missing/file",
    b"[" * 100_000,
    b'{"a":',
    b'{"settings": 5}',
    b'{"a": "\\ud800"}',
    b"null",
    b"nan",
    b"1e999",
    b"http://[",
    b"127.0.0.1:99999",
    b"%(x)s{x}",
    b"x=\xff",
    "\U0001f642".encode(),
    b"\x01\x1b[31m",
]
FEW = [b"", b"caf\xe9", b"[" * 50_000, b'{"settings": 5}', b'{"a": "\\ud800"}', b"null", b"\x01"]
EXIT_CODES = {0, 1, 2}
ENDED = {130}
"""Of commands that serve, and are ended: by Ctrl-C or SIGTERM."""
QUICKLY: dict[bytes, Words] = {b"record": [b"--count=1", b"--seconds=1"]}
"""Options without which a command takes its time."""


def leaves(found: argparse.ArgumentParser, names: tuple[str, ...] = ()) -> Iterator[tuple[Words, Any]]:
    """Each command that does something: its words, and its parser."""
    inner = [action for action in found._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield [name.encode() for name in names], found
    for action in inner:
        for name, sub in action.choices.items():
            yield from leaves(sub, (*names, name))


def plainly(found: argparse.ArgumentParser) -> Words:
    """What a command needs at least."""
    needed = [action for action in found._actions if not action.option_strings and action.nargs in {None, "+"}]
    return [
        str(next(iter(action.choices))).encode() if action.choices else PLAIN.get(action.dest, b"x")
        for action in needed
    ]


def cases(found: argparse.ArgumentParser, values: Sequence[bytes]) -> Iterator[Words]:
    """A command's arguments: as few as can be, each option alone, and each argument with each value."""
    needed = plainly(found)
    yield needed
    places = [action for action in found._actions if not action.option_strings]
    for place, action in enumerate(places):
        for value in values:
            yield [*needed[:place], value, *needed[place + 1 :]] if action.nargs in {None, "+"} else [*needed, value]
    for action in found._actions:
        if not action.option_strings or action.dest == "help":
            continue
        option = action.option_strings[0].encode()
        if action.nargs == 0:
            yield [*needed, option]
        elif isinstance(action.nargs, int):
            yield from ([*needed, option, *[value] * action.nargs] for value in values)
        else:
            yield from ([*needed, option + b"=" + value] for value in values)


def run(
    folder: Path,
    commands: Sequence[Words],
    *,
    stdout: str = "file",
    module: str = "local_emulator",
    environment: dict[str, str] | None = None,
    seconds: float = 20,
) -> list[dict[str, Any]]:
    """What came of commands, run one after the other in a folder."""
    asked = [{"words": [word.hex() for word in words], "stdout": stdout, "seconds": seconds} for words in commands]
    parts = ("", "functions/provision", "layers/connector/python", "layers/powertools/python")
    paths = [ROOT / part for part in parts]
    given = {**plain_environment(), "PYTHONPATH": os.pathsep.join(map(str, paths)), **(environment or {})}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tests/command_driver.py"), module],
        input=json.dumps(asked).encode(),
        cwd=folder,
        env=given,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode("utf-8", "replace")
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(found) == len(commands)
    return found


def judge(commands: Sequence[Words], found: Sequence[dict[str, Any]], codes: set[int] = EXIT_CODES) -> None:
    """No traceback, an exit code of ours, and words if it isn't 0."""
    wrong = []
    for words, one in zip(commands, found, strict=True):
        said = one["out"] + one["err"]
        if "Traceback" in said or one["code"] not in codes or (one["code"] and not said.strip()):
            wrong.append((one["code"], [word[:40] for word in words], said[-600:]))
    assert wrong == []


COMMANDS = [pytest.param(words, found, id=b"-".join(words).decode()) for words, found in leaves(parser())]


ENDING = [case for case in COMMANDS if isinstance(case.id, str) and case.id.partition("-")[0] not in STARTING]


@pytest.mark.parametrize(("words", "found"), ENDING)
def test_every_command_without_a_cloud(words: Words, found: Any, tmp_path: Path) -> None:
    commands = [[*words, *case] for case in cases(found, HOSTILE)]
    judge(commands, run(tmp_path, commands))


def plain_case(case: Any) -> Words:
    """A command with what it needs at least."""
    words, found = case.values
    return [*words, *plainly(found), *QUICKLY.get(words[0], ())]


@pytest.fixture(scope="module")
def cloud(project_copy: Path) -> Iterator[Path]:
    with up(project_copy):
        yield project_copy


@pytest.mark.parametrize(("words", "found"), ENDING)
def test_every_command_with_a_cloud(words: Words, found: Any, cloud: Path) -> None:
    commands = [[*words, *case, *QUICKLY.get(words[0], ())] for case in cases(found, FEW) if b"--watch" not in case]
    judge(commands, run(cloud, commands))


def documents(out: str) -> list[Any]:
    """The JSON documents in an output; each is a line, or begins with a line of one bracket."""
    decoder, found = json.JSONDecoder(), []
    while out.strip():
        document, end = decoder.raw_decode(out.lstrip())
        found.append(document)
        out = out.lstrip()[end:]
    return found


def test_every_command_prints_its_result_as_one_json_document(cloud: Path, tmp_path: Path) -> None:
    """On standard output there is nothing else: neither progress nor, if the command fails, its message."""
    commands = [[*plain_case(case), b"--json"] for case in ENDING]
    for folder in (cloud, tmp_path):
        for words, one in zip(commands, run(folder, commands), strict=True):
            found = documents(one["out"])
            assert len(found) == 1, (words, one)
            assert isinstance(found[0], dict), (words, one)
            assert one["code"] == 0 or found[0].keys() & {"error", "faults"}, (words, one)


def test_commands_that_serve_print_lines_of_json(tmp_path: Path) -> None:
    """Each at its start, and each failure."""
    commands = [
        [b"maxcompute", b"--port=0", b"--json"],
        [b"maxcompute", b"--port=-1", b"--json"],
        [b"up", b"--kafka=x"],
    ]
    commands[-1].append(b"--json")
    ready, wrong, refused = (documents(one["out"]) for one in run(tmp_path, commands, seconds=4))
    assert [line["state"] for line in ready] == ["ready"]
    assert [line.keys() for line in (*wrong, *refused)] == [{"error"}, {"error"}]


def test_a_pipe_that_is_closed_after_the_first_line_ends_a_command(cloud: Path) -> None:
    words = [sys.executable, "-m", "local_emulator", "fault", "operations"]
    environment = {**plain_environment(), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, cwd=cloud, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode in {0, 1}


def test_a_watched_status_ends_by_ctrl_c_without_a_traceback(cloud: Path) -> None:
    words = [sys.executable, "-m", "local_emulator", "status", "--watch", "--json"]
    with subprocess.Popen(
        words, cwd=cloud, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain_environment()
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert first.keys() == {
        "time",
        "state",
        "lag",
        "settled",
        "rows",
        "dead_letters",
        "failed_invocations",
        "per_second",
    }
    assert first["state"] == "RUNNING"
    assert (process.returncode, b"Traceback" in out + err) == (130, False)


def test_bytes_of_the_command_line_are_the_records(cloud: Path) -> None:
    sent = [[b"send", b"--key", b"\xff", b"--value", b"caf\xe9"], [b"send", b"--value", "caf\u00e9".encode()]]
    found = run(cloud, sent)
    assert [one["code"] for one in found] == [0, 0], found


def test_values_of_any_type_are_shown_without_pandas(cloud: Path) -> None:
    time = "'2024-01-01 00:00:00'"
    values = {
        "timestamp": time,
        "timestamp_ntz": time,
        "datetime": time,
        "date": "'2024-01-01'",
        "decimal(38,18)": "'1.5'",
    }
    values |= {"binary": "'a'", "string": "'a'", "bigint": "'1'", "double": "'1.5'", "boolean": "true"}
    cells = ", ".join(
        f"cast({value} as {type_}) a{number}, cast(null as {type_}) b{number}"
        for number, (type_, value) in enumerate(values.items())
    )
    (one,) = run(cloud, [[b"sql", f"select {cells}".encode()]])
    assert (one["code"], one["err"]) == (0, ""), one
    assert "2024-01-01 00:00:00" in one["out"]


@pytest.mark.parametrize("stdout", ["closed", "unread", "full"])
def test_output_that_goes_nowhere(stdout: str, cloud: Path) -> None:
    commands = [
        words
        for case in ENDING
        for words in (plain_case(case), [*case.values[0], b"--help"])  # type: ignore[misc] # pytest types a case's values as object
    ]
    commands += [[b"up"], [b"maxcompute", b"--port=-1"]]
    for words, one in zip(commands, run(cloud, commands, stdout=stdout), strict=True):
        assert "Traceback" not in one["err"], (words, one)
        assert one["code"] in EXIT_CODES, (words, one)


HOSTILE_FILES = {
    "empty.json": b"",
    "latin.json": b'["caf\xe9"]',
    "deep.json": b"[" * 200_000 + b"]" * 200_000,
    "scalar.json": b"1",
    "nul.json": b"\0" * 1_000,
    "events.json": b'[1, {}, "x", {"data": {"offset": 1e999}}]',
}


def test_hostile_files(cloud: Path) -> None:
    folder = cloud / "hostile"
    folder.mkdir()
    for name, content in HOSTILE_FILES.items():
        (folder / name).write_bytes(content)
    (folder / "loop").symlink_to("loop")
    (folder / "unreadable").write_bytes(b"[]")
    (folder / "unreadable").chmod(0)
    names = [*HOSTILE_FILES, "", "loop", "unreadable", "missing", "latin.json/below", "n" * 300]
    files = [os.fsencode(folder / name) for name in names]
    commands = [[b"replay", file] for file in files]
    commands += [[b"redrive", b"--messages=" + file] for file in files]
    commands += [[b"record", file, *QUICKLY[b"record"]] for file in files if not file.endswith(b".json")]
    judge(commands, run(cloud, commands))


UNWRITTEN = [b"", b"\xff", b"null", b"[" * 100_000, b"{}"]
"""What may stand in the file of endpoints."""


def test_a_file_of_endpoints_that_nobody_wrote(tmp_path: Path, cloud: Path) -> None:
    written = (cloud / ".local/cloud.json").read_bytes()
    file = tmp_path / "kafka-maxcompute/cloud.json"  # where the commands look outside of a checkout
    file.parent.mkdir()
    here = {"XDG_STATE_HOME": str(tmp_path)}
    commands: list[Words] = [[b"status"], [b"send", b"--value=x"]]
    file.write_bytes(written)
    judge(commands, run(tmp_path, commands, environment=here), {1})  # a file without its cloud's lock
    with file.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        judge([[b"status"]], run(tmp_path, [[b"status"]], environment=here), {0})
        for content in UNWRITTEN:
            file.write_bytes(content)
            judge(commands, run(tmp_path, commands, environment=here), {1})
    file.unlink()
    file.mkdir()
    judge(commands, run(tmp_path, commands, environment=here), {1})


SERVING = [
    [b"maxcompute", b"--port=-1"],
    [b"maxcompute", b"--port=65536"],
    [b"maxcompute", b"--port=" + b"9" * 5_000],
    [b"maxcompute", b"--port=1"],
    [b"maxcompute", b"--port=0", b"--data-dir=/dev/null"],
    [b"maxcompute", b"--port=0", b"--data-dir="],
    [b"maxcompute", b"--port=0", b"--data-dir=n" * 300],
    [b"maxcompute", b"--port=0", b"--project="],
    [b"maxcompute", b"--port=0", b"--project=caf\xe9"],
    [b"maxcompute", b"--port=0", b"--access-id="],
    [b"maxcompute", b"--port=0", b"--account-id=x"],
    [b"maxcompute", b"--port=0", b"--user", b"", b"", b""],
    [b"maxcompute", b"--port=0", b"--limit=x=y"],
    [b"up", b"--kafka="],
    [b"up", b"--kafka=caf\xe9"],
    [b"up", b"--kafka=127.0.0.1"],
    [b"up", b"--kafka=127.0.0.1:1"],
    [b"up", b"--kafka=127.0.0.1:99999"],
    [b"up", b"--data-dir=/dev/null"],
    [b"demo", b"--kafka=x"],
    [b"demo", b"--kafka=:"],
]


def test_commands_that_serve(tmp_path: Path) -> None:
    judge(SERVING, run(tmp_path, SERVING, seconds=4), EXIT_CODES | ENDED)


NONSENSE = {
    "ascii only": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii output": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "settings": {"CONNECTOR_NAME": "x" * 5_000, "CONNECTOR_MODE": "\u2028", "CONNECTOR_PARTITION": "9" * 5_000},
    "more settings": {
        "CONNECTOR_EARLIEST_TIMESTAMP": "9" * 5_000,
        "CONNECTOR_ENDPOINT": "http://[",
        "BATCH_SECONDS": "nan",
    },
    "unknown": {"CONNECTOR_NO_SUCH": "1", "COLUMNS": "x", "TERM": "nonsense", "NO_COLOR": "\x01"},
}


@pytest.mark.parametrize("environment", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_in_the_environment(environment: dict[str, str], cloud: Path) -> None:
    commands = [plain_case(case) for case in ENDING]
    commands += [
        [b"sql", "select '\u4f60\u2192' a".encode()],
        [b"send", b"--value", b"\xe4\xbd\xa0"],
        [b"send", b"--value=\xff"],
    ]
    judge(commands, run(cloud, commands, environment=environment))


@pytest.mark.parametrize("environment", [NONSENSE["ascii only"], NONSENSE["settings"]])
def test_the_provisioners_own_command(environment: dict[str, str], tmp_path: Path) -> None:
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "k", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}
    nowhere = {"CONTROL_ENDPOINT": "http://127.0.0.1:1"}
    commands: list[Words] = [[], [b"--help"], [b"nonsense"], [b"caf\xe9"], [b""], [b"policy", b"caf\xe9"]]
    commands += [[action.encode()] for action in (*ACTIONS, "policy")]
    commands += [[b"plan", value] for value in HOSTILE] + [[b"policy", value] for value in HOSTILE]
    judge(commands, run(tmp_path, commands, module="provisioning", environment={**keys, **nowhere, **environment}))
    for stdout in ("closed", "unread", "full"):
        judge_quietly(run(tmp_path, [[b"policy"], [b"plan"]], module="provisioning", stdout=stdout))


def judge_quietly(found: Sequence[dict[str, Any]]) -> None:
    for one in found:
        assert "Traceback" not in one["err"], one
        assert one["code"] in EXIT_CODES, one
