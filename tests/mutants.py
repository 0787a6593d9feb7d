"""What `make mutants` runs: changes the code that decides what becomes of a record, and looks whether a test fails.

    python -m tests.mutants                                  the modules that are listed in tests/mutants.json
    python -m tests.mutants kafka_maxcompute/ledger/roll_forward.py  any other one of MODULES

mutmut makes the changes, in a copy below build/ in which packages lie as they are imported. A change that no test
notices has to be in tests/mutants.json with the reason why it changes nothing, by module, function, and the lines that
differ; what is listed there and doesn't survive any more has to be taken out. Exits with 0 only then. Changes to the
wording of messages, and to how strict a zip of equally long lists is, don't count.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build/mutants"
EQUAL = ROOT / "tests/mutants.json"
SOURCES = ("functions/sink", "functions/provision", "layers/connector/python", "layers/powertools/python")
KILLED = frozenset({1, 3})
"""Exit codes of pytest that say that a test failed."""
TIMED_OUT = frozenset({24, 36, -24, 152, 255})

_SINK = ("unit/test_sink_exactly_once.py", "unit/test_sink_bad_records.py")
_MARKS = (
    "unit/test_ledger_marks.py",
    "unit/test_ledger_marks_anew.py",
    "unit/test_ledger_first_marks.py",
    "unit/test_events_and_their_records.py",
)
_LEDGER = ("unit/test_ledger_state.py", "unit/test_ledger_traps.py", *_MARKS)
MODULES: dict[str, tuple[str, ...]] = {
    "maxcompute_sink/batch.py": ("unit/test_sink_batch.py", *_SINK, "unit/test_sink_refused_data.py"),
    "maxcompute_sink/partitioner.py": ("unit/test_sink_partitioner.py",),
    "maxcompute_sink/csv_rows.py": (
        "unit/test_sink_mapping.py",
        "unit/test_sink_csv_lines.py",
        "unit/test_sink_csv_times.py",
        "unit/test_sink_csv_hostile.py",
    ),
    "maxcompute_sink/claiming.py": ("unit/test_sink_claiming.py", *_SINK),
    "maxcompute_sink/exactly_once.py": (
        *_SINK,
        "unit/test_sink_refused_data.py",
        "unit/test_sink_measures.py",
        "unit/test_sink_limits.py",
        "unit/test_sink_marks.py",
    ),
    "maxcompute_sink/decode.py": (
        "unit/test_sink_decode.py",
        "unit/test_sink_elements.py",
    ),
    "maxcompute_sink/mapping.py": (
        "unit/test_sink_mapping.py",
        "unit/test_sink_csv_lines.py",
        "unit/test_sink_blocks.py",
    ),
    "maxcompute_sink/blocks.py": ("unit/test_sink_blocks.py", *_SINK),
    "maxcompute_sink/framing.py": ("unit/test_sink_framing.py", "unit/test_sink_refused_data.py"),
    "maxcompute_sink/staging.py": ("unit/test_sink_staging.py", "unit/test_sink_refused_data.py"),
    "kafka_maxcompute/ledger/roll_forward.py": ("unit/test_roll_forward.py", *_SINK),
    "kafka_maxcompute/dead_letters/error_topic.py": ("unit/test_diverted.py", "unit/test_sink_bad_records.py"),
    "kafka_maxcompute/maxcompute/upload_sessions.py": ("unit/test_upload_sessions.py", *_SINK),
    "kafka_maxcompute/ledger/state.py": _LEDGER,
    "kafka_maxcompute/ledger/ledger.py": (
        "unit/test_ledger_upkeep.py",
        "unit/test_ledger_traps.py",
        "unit/test_ledger_made_anew.py",
        "unit/test_ledger_memory.py",
    ),
    "kafka_maxcompute/ledger/operations.py": ("unit/test_ledger_operations.py", *_LEDGER),
    "kafka_maxcompute/ledger/packed.py": ("unit/test_ledger_operations.py",),
    "kafka_maxcompute/ledger/gaps.py": ("unit/test_ledger_gaps.py",),
    "kafka_maxcompute/ledger/marks.py": (*_MARKS, *_SINK),
    "kafka_maxcompute/ledger/values.py": ("unit/test_ledger_values.py",),
    "kafka_maxcompute/ledger/identity.py": ("unit/test_ledger_identity.py", "unit/test_ledger_marks_anew.py"),
    "kafka_maxcompute/ledger/memory_log.py": ("unit/test_ledger_memory.py", "unit/test_ledger_traps.py"),
}
"""Modules as they are imported, each with the tests that are to notice."""


def staged(module: str) -> None:
    """The copy, set up for one module."""
    shutil.rmtree(STAGE, ignore_errors=True)
    (STAGE / "src").mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "index.py", "catch_up.py")
    for source in SOURCES:
        shutil.copytree(ROOT / source, STAGE / "src", dirs_exist_ok=True, ignore=ignore)
    for folder in ("tests", "local_emulator"):
        shutil.copytree(ROOT / folder, STAGE / folder, ignore=ignore)
    selected = [f"tests/{name}" for name in MODULES[module]]
    settings: dict[str, dict[str, object]] = {
        "tool.pytest.ini_options": {
            "pythonpath": ["src", "."],
            "addopts": ["--import-mode=importlib", "--timeout=60", "-p", "no:randomly", "-p", "no:cacheprovider"],
            "markers": ["quick: as in the project", "java: as in the project"],
        },
        "tool.mutmut": {
            "source_paths": ["src"],
            "only_mutate": [f"src/{module}"],
            "also_copy": ["src/", "local_emulator/"],
            "pytest_add_cli_args_test_selection": selected,
            "use_git_change_detection": False,
            "track_dependencies": False,
        },
    }
    lines = [
        f"[{table}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in held.items())
        for table, held in settings.items()
    ]
    (STAGE / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")


def mutmut(*words: str) -> str:
    """The output of a command of mutmut; raises `SystemExit` with its end where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *words], cwd=STAGE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"mutmut {' '.join(words)} failed:\n{(done.stdout + done.stderr)[-2_000:]}")
    return done.stdout


def survivors(module: str) -> tuple[int, set[str]]:
    """How many changes there were, and those that nobody noticed: their differing lines, with the function's name."""
    mutmut("run", "--max-children", "2")
    codes = json.loads((STAGE / f"mutants/src/{module}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    told = [_told(name) for name, code in codes.items() if code not in KILLED | TIMED_OUT]
    return len(codes), {one for one in told if not _is_wording(one)}


def _told(name: str) -> str:
    """A change as it's listed: the function, the lines before and the lines after."""
    function = (
        name.rpartition(".")[2].rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    )
    lines = mutmut("show", name).splitlines()
    changed = [line for line in lines if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}]
    return " | ".join([function, *(f"{line[0]} {line[1:].strip()}" for line in changed)])


def _is_wording(told: str) -> bool:
    """Whether a change is one of wording or of `strict` alone; an error may also lose its message, but not its code."""
    lines = [re.sub(r'"[^"]* [^"]*"', '" "', line) for line in told.split(" | ")[1:]]
    lines = [re.sub(r'(?<=Error\()f?" "(?=[,)])|(?<=Error\()None(?=[,)])', '" "', line) for line in lines]
    lines = [re.sub(r",\s*(strict=\w+)?\s*\)", ")", line[2:]) for line in lines]
    middle = len(lines) // 2
    return len(lines) % 2 == 0 and lines[:middle] == lines[middle:]


def main() -> int:
    """Run the modules that are named, or those that are listed."""
    listed: dict[str, dict[str, str]] = json.loads(EQUAL.read_text(encoding="utf-8"))
    passed = True
    for module in sys.argv[1:] or listed:
        staged(module)
        count, left = survivors(module)
        equal = listed.get(module, {})
        print(
            f"{module}: {count} changes, {count - len(left)} noticed, {len(left)} not, {len(equal)} listed", flush=True
        )
        for told in sorted(left - equal.keys()):
            print(f"  not noticed by a test: {told}", flush=True)
        for told in sorted(equal.keys() - left):
            print(f"  listed, and doesn't survive: {told}", flush=True)
        passed = passed and left == equal.keys()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
