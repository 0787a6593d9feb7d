"""What `make test` runs: everything on this Python, the quick tests on each other supported Python found here.

Exits with 0 only if every run passed and the modules that decide about records are covered to the last branch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = [(3, minor) for minor in range(10, 14)]
LEDGER = ("operations", "state", "log", "ledger", "memory_log", "identity", "gaps")
# Each decides what becomes of a record: a branch that no test takes is a record that nobody has thought of.
FULLY_COVERED = [
    "layers/connector/python/kafka_maxcompute/offsets.py",
    # All of the ledger but what only a broker's misfortune can reach.
    *(f"layers/connector/python/kafka_maxcompute/ledger/{name}.py" for name in LEDGER),
    "functions/sink/maxcompute_sink/partition.py",
    "functions/sink/maxcompute_sink/mapping.py",
]


def run(title: str, *command: str | Path) -> bool:
    """Run a command in the project's folder, its output as it comes; True if it succeeded."""
    print(f"\n=== {title}", flush=True)
    begun = time.monotonic()
    succeeded = subprocess.run([str(word) for word in command], cwd=ROOT, check=False).returncode == 0
    print(f"=== {title}: {'passed' if succeeded else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
    return succeeded


def interpreter_version(python: Path) -> tuple[int, int] | None:
    """The (major, minor) of an interpreter, or None where it is only a shim without a Python behind it."""
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


def test_on(version: tuple[int, int], python: Path) -> bool:
    """Set up an environment for another Python (once a set of pins) as `make` does, and run the quick tests in it."""
    name = f"{version[0]}.{version[1]}"
    environment = f".venv-{name}"
    if not run(f"set up Python {name}", "make", f"PYTHON={python}", f"VENV={environment}", f"{environment}/dev.stamp"):
        return False
    pytest = [ROOT / environment / "bin/python", "-m", "pytest", "-q", "-n", "2", "-m", "quick"]
    return run(f"quick tests on Python {name}", *pytest)


def main() -> int:
    """Run it all, go on after a failure, and answer with the exit code."""
    arguments = sys.argv[1:]
    python = sys.executable
    passed = [
        run(
            f"all tests on Python {sys.version_info[0]}.{sys.version_info[1]}",
            *[python, "-m", "pytest", "-q", "-n", "3", "--dist", "loadgroup", "--cov", "--cov-report=", *arguments],
        )
    ]
    if not arguments:
        report = [python, "-m", "coverage", "report", "--fail-under=100", "--show-missing"]
        passed.append(
            run("branch coverage of what decides about records", *report, "--include", ",".join(FULLY_COVERED))
        )
        passed += [test_on(version, found) for version, found in sorted(other_interpreters().items())]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
