"""`make test` ends with all that it has started, and its tests pass in the background as in the foreground."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import process_tree, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
# Starts a command as nohup and the background of a script do.
IGNORING = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh"]
# Plain sleeps, one out of its parent's session, one whose parent has ended, one that takes no polite signal.
HANGING = """
import subprocess, time
from pathlib import Path

def test_it_hangs():
    subprocess.Popen(["sleep", "{mark}"])
    subprocess.Popen(["sleep", "{mark}"], start_new_session=True)
    script = "setsid sleep {mark} & setsid sh -c 'trap : TERM INT HUP; sleep {mark}; sleep {mark}' &"
    subprocess.run(["sh", "-c", script])
    Path({began!r}).touch()
    time.sleep(600)
"""
LEAVING = """
import subprocess

def test_it_leaves_a_process():
    subprocess.Popen(["sleep", "{mark}"], start_new_session=True)
"""
SIGNALS = """
import subprocess, sys

ASKED = "from signal import *; print(getsignal(SIGINT) is default_int_handler, getsignal(SIGTERM) is SIG_DFL)"

def test_a_program_is_interrupted_as_usual():
    said = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True).stdout
    assert said == "True True\\n"
"""


def marked(mark: str) -> list[str]:
    """The processes that have a word in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in b" ".join(words) and b"sleep" in b" ".join(words):
            found.append(str(file.parent))
    return found


def eventually(holds: Callable[[], bool], seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def started_run(file: Path, *, ignoring: bool) -> subprocess.Popen[str]:
    """`python -m tests.run` with one file of tests, as `make` starts it, or as `nohup` and a shell's `&` do."""
    words = [str(file), "-c", "pyproject.toml", "--no-cov", "-n", "1"]
    return subprocess.Popen(
        [*(IGNORING if ignoring else []), sys.executable, "-m", "tests.run", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(file.parent)},
    )


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """A number of seconds that no other sleep has; such sleeps are ended if a test has failed to."""
    number = f"{10_000 + os.getpid()}.{abs(hash(tmp_path)) % 1_000_000}"
    yield number
    for folder in marked(number):
        os.kill(int(Path(folder).name), signal.SIGKILL)


def hanging(tmp_path: Path, mark: str, *, ignoring: bool = False) -> subprocess.Popen[str]:
    """Tests in the middle of which processes of all kinds run."""
    began, file = tmp_path / "began", tmp_path / "test_hanging.py"
    file.write_text(HANGING.format(mark=mark, began=str(began)), encoding="utf-8")
    process = started_run(file, ignoring=ignoring)
    assert eventually(began.exists)
    assert eventually(lambda: len(marked(mark)) >= 4)
    return process


@pytest.mark.parametrize("number", process_tree.ENDINGS)
def test_a_signal_ends_it_within_seconds_with_all_that_it_started(
    tmp_path: Path, mark: str, number: signal.Signals
) -> None:
    process = hanging(tmp_path, mark)
    begun = time.monotonic()
    # To the whole group, as a terminal does it.
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=SECONDS)
    assert time.monotonic() - begun < 10
    assert process.returncode == 128 + number
    assert f"stopped by signal {int(number)}; all that it had started has ended" in said
    assert "Traceback" not in said
    assert marked(mark) == []
    assert list(tmp_path.glob("kafka-maxcompute-tests-*")) == []


def test_two_signals_end_it_as_one_does(tmp_path: Path, mark: str) -> None:
    process = hanging(tmp_path, mark)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=SECONDS)
    # Which of two pending signals a process handles first isn't defined.
    assert process.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert "Traceback" not in said
    assert marked(mark) == []


@pytest.mark.parametrize("which", ["the process that make starts", "the one below it"])
def test_nothing_is_left_after_a_kill_that_cannot_be_caught(tmp_path: Path, mark: str, which: str) -> None:
    process = hanging(tmp_path, mark)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    assert len(children) == 1
    os.kill(process.pid if which == "the process that make starts" else int(children[0]), signal.SIGKILL)
    process.communicate(timeout=SECONDS)
    assert process.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    assert eventually(lambda: marked(mark) == [])


def test_ignored_signals_stay_ignored_and_sigterm_ends_it(tmp_path: Path, mark: str) -> None:
    """In the background of a script, Ctrl-C is for the foreground; under nohup, a hangup ends nothing."""
    process = hanging(tmp_path, mark, ignoring=True)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    assert len(marked(mark)) >= 4
    process.terminate()
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said
    assert marked(mark) == []


@pytest.mark.parametrize("ignoring", [False, True])
def test_programs_that_tests_start_have_the_usual_signals(tmp_path: Path, ignoring: bool) -> None:
    file = tmp_path / "test_signals.py"
    file.write_text(SIGNALS, encoding="utf-8")
    process = started_run(file, ignoring=ignoring)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert "All passed." in said


@pytest.mark.parametrize("workers", ["0", "1"])
def test_they_have_them_without_the_run_too(workers: str) -> None:
    """With pytest alone, in the background: a program that waits for Ctrl-C gets it."""
    words = ["tests/integration/test_maxcompute_command.py::test_it_says_where_it_is_and_ends_cleanly", "-n", workers]
    ran = subprocess.run(
        [*IGNORING, sys.executable, "-m", "pytest", "-q", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_a_process_that_a_test_leaves_behind_fails_the_run_and_is_ended(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "test_leaving.py"
    file.write_text(LEAVING.format(mark=mark), encoding="utf-8")
    process = started_run(file, ignoring=False)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, said
    assert re.search(rf"processes that a test has left behind:\n\d+ sleep {mark}\n", said)
    assert marked(mark) == []


def test_each_stage_is_told_before_it_and_what_it_took_after_it(tmp_path: Path) -> None:
    file = tmp_path / "test_signals.py"
    file.write_text(SIGNALS, encoding="utf-8")
    said, _ = started_run(file, ignoring=False).communicate(timeout=SECONDS)
    assert re.match(
        r"1 stage\(s\), about \d+ (s|min) in all\. Ctrl-C ends everything within seconds\.\n  1\. on ", said
    )
    assert re.search(r"=== 1/1 on Python .*: passed in \d+ s\n\nAll passed\.\n$", said)


def test_the_plan_of_make_test_names_every_python_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "other_interpreters", lambda: {(3, 9 + n): Path(f"/python/{n}") for n in (1, 3)})
    titles = [stage.title for stage in run.stages([])]
    assert titles[0].startswith("unit tests on Python 3.")
    assert titles[2].startswith("all other tests on Python 3.")
    assert titles[3:] == [
        "environment of Python 3.10",
        "quick tests on Python 3.10",
        "environment of Python 3.12",
        "quick tests on Python 3.12",
    ]
    assert [stage.after for stage in run.stages([])[3:]] == [None, titles[3], None, titles[5]]
