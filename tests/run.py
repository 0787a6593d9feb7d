"""What `make test` and `make quick` run.

`make test`: everything on this Python, the quick tests on each other supported Python found here. It exits with 0 only
if every stage passed and the modules that decide about records are covered to the last branch. Arguments are given to
pytest, and then the tests on this Python are all that runs.

`make quick` (--quick) runs the tests that need no Kafka, JVM or server, on this Python, with few Hypothesis examples.
`make soak` (--alone) gives its arguments to a pytest of one process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests import process_tree

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = [(3, minor) for minor in range(10, 14)]
LEDGER = ("operations", "packed", "state", "log", "ledger", "memory_log", "identity", "gaps", "marks", "roll_forward")
CONNECTOR = ("dead_letters/error_topic", "maxcompute/upload_sessions")
SINK = (
    "decode",
    "partitioner",
    "mapping",
    "csv_rows",
    "blocks",
    "batch",
    "claiming",
    "framing",
    "staging",
    "exactly_once",
)
# Each decides what becomes of a record: a branch that no test takes is a record that nobody has thought of.
FULLY_COVERED = [
    "layers/connector/python/kafka_maxcompute/offsets.py",
    # All of the ledger but what only a broker's misfortune can reach.
    *(f"layers/connector/python/kafka_maxcompute/ledger/{name}.py" for name in LEDGER),
    *(f"layers/connector/python/kafka_maxcompute/{name}.py" for name in CONNECTOR),
    *(f"functions/sink/maxcompute_sink/{name}.py" for name in SINK),
]
UNIT = "tests/unit"
# What each stage took here the last time that it passed.
DURATIONS = ROOT / "build/test_durations.json"
# How long what a test has stopped may take to be gone.
LEFT_SECONDS = 10.0


@dataclass(frozen=True)
class Stage:
    """One command, and about how many seconds it takes on two cores the first time."""

    title: str
    seconds: float
    command: list[str]
    # A stage that it makes no sense without.
    after: str | None = None


def stages(arguments: list[str]) -> list[Stage]:
    """What there is to do, in its order."""
    python = sys.executable
    version = name_of(sys.version_info[:2])
    pytest = [python, "-m", "pytest", "-q"]
    if arguments[:1] == ["--quick"]:
        return [Stage(f"quick tests on Python {version}", 60, [*pytest, "-n", "2", "-m", "quick", *arguments[1:]])]
    if arguments[:1] == ["--alone"]:
        return [Stage(f"on Python {version}: {' '.join(arguments[1:])}", 2400, [*pytest, *arguments[1:]])]
    parallel = [*pytest, "-n", "3", "--dist", "loadgroup"]
    if arguments:
        return [Stage(f"on Python {version}: {' '.join(arguments)}", 60, [*parallel, *arguments])]
    report = [python, "-m", "coverage", "report", "--fail-under=100", "--show-missing"]
    # Measuring doubles the time of the code that runs, so only the tests that have to cover it are measured.
    unit = Stage(f"unit tests on Python {version}", 300, [*parallel, "--cov", "--cov-report=", UNIT])
    found = [
        unit,
        Stage(
            "branch coverage of what decides about records",
            10,
            [*report, "--include", ",".join(FULLY_COVERED)],
        ),
        Stage(f"all other tests on Python {version}", 900, [*parallel, f"--ignore={UNIT}"]),
    ]
    for other, interpreter in sorted(other_interpreters().items()):
        found += stages_on(name_of(other), interpreter)
    return found


def stages_on(version: str, interpreter: Path) -> list[Stage]:
    """Set up an environment for another Python (once a set of pins) as `make` does, and run the quick tests in it."""
    environment = f".venv-{version}"
    set_up = f"environment of Python {version}"
    make = ["make", "--no-print-directory", f"PYTHON={interpreter}", f"VENV={environment}", f"{environment}/dev.stamp"]
    pytest = [str(ROOT / environment / "bin/python"), "-m", "pytest", "-q", "-n", "2", "-m", "quick"]
    return [Stage(set_up, 120, make), Stage(f"quick tests on Python {version}", 90, pytest, after=set_up)]


def name_of(version: tuple[int, ...]) -> str:
    """A version as it's written: 3.10."""
    return ".".join(map(str, version))


def interpreter_version(python: Path) -> tuple[int, int] | None:
    """The (major, minor) of an interpreter, or None if it is only a shim without a Python behind it."""
    asked = subprocess.run(
        [python, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    words = asked.stdout.split()
    return (int(words[0]), int(words[1])) if asked.returncode == 0 else None


def other_interpreters() -> dict[tuple[int, int], Path]:
    """One interpreter for each supported version besides this one: those on PATH, then pyenv's."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted(pyenv.glob("versions/*/bin"), reverse=True)
    found: dict[tuple[int, int], Path] = {}
    for version in SUPPORTED:
        if version == sys.version_info[:2]:
            continue
        for folder in folders:
            python = folder / f"python{version[0]}.{version[1]}"
            if python.exists() and interpreter_version(python) == version:
                found[version] = python
                break
    return found


def work(arguments: list[str]) -> int:
    """Run all stages, go on after a failure, and answer with the exit code."""
    todo = stages(arguments)
    took = durations()
    expected = {stage.title: took.get(stage.title, stage.seconds) for stage in todo}
    say(f"{len(todo)} stage(s), about {spoken(sum(expected.values()))} in all. Ctrl-C ends everything within seconds.")
    for number, stage in enumerate(todo, 1):
        say(f"  {number}. {stage.title}: about {spoken(expected[stage.title])}")
    failed: list[str] = []
    for number, stage in enumerate(todo, 1):
        if stage.after in failed:
            say(f"\n=== {number}/{len(todo)} {stage.title}: NOT RUN, for the stage before it failed")
            failed.append(stage.title)
            continue
        say(f"\n=== {number}/{len(todo)} {stage.title}: about {spoken(expected[stage.title])}")
        begun = time.monotonic()
        passed = process_tree.run(stage.command, ROOT) == 0
        seconds = time.monotonic() - begun
        if left := process_tree.left_behind(LEFT_SECONDS):
            passed = False
            process_tree.end_descendants()
            say("processes that a test has left behind:", *left)
        if passed:
            took[stage.title] = round(seconds, 1)
        else:
            failed.append(stage.title)
        rest = sum(expected[later.title] for later in todo[number:])
        to_go = f"; about {spoken(rest)} to go" if rest else ""
        say(f"=== {number}/{len(todo)} {stage.title}: {'passed' if passed else 'FAILED'} in {spoken(seconds)}{to_go}")
    if arguments in ([], ["--quick"]):
        remember(took)
    say("", f"FAILED: {'; '.join(failed)}" if failed else "All passed.")
    return 1 if failed else 0


def durations() -> dict[str, float]:
    """What each stage took here the last time."""
    try:
        kept: dict[str, float] = json.loads(DURATIONS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept


def remember(took: dict[str, float]) -> None:
    """Keep what each stage took."""
    DURATIONS.parent.mkdir(exist_ok=True)
    DURATIONS.write_text(json.dumps(took, indent=1), encoding="utf-8")


def spoken(seconds: float) -> str:
    """A duration in seconds, or in minutes if it's long."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def say(*lines: str) -> None:
    """Lines for whoever runs this, at once."""
    print(*lines, sep="\n", flush=True)


def stopped(number: int) -> None:
    """Say that a signal has ended it all; the terminal may be gone."""
    with contextlib.suppress(OSError):
        say(f"\nstopped by signal {number}; all that it had started has ended")


def main() -> int:
    """Run it with a folder of its own for all temporary files, which is kept only if a stage failed."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--quick"]:
        os.environ.setdefault("HYPOTHESIS_PROFILE", "small")
    scratch = Path(tempfile.mkdtemp(prefix="kafka-maxcompute-tests-"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    code = process_tree.guarded(lambda: work(arguments), stopped)
    if code == 1:
        say(f"the tests' temporary files: {scratch}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
