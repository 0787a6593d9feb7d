"""Measure a cold start of the sink against limits, on each runtime's Python: run `benchmarks/cold_start.py`.

A fresh process does what Function Compute does before an instance's first batch. It loads index.py: this is the
*entry*, with the start of Python. It then calls the initializer, which imports the rest, checks the settings and
connects to the brokers. The process has only the function's code and the three layers, as `make layers` packs them. The
broker is the local cloud's.

Each number is the least of several processes, because noise only adds time. The files are in the machine's cache: a
real cold start also reads them from a disk or a network. The modules' times are those of `python -X importtime`, from
one more process; they add up to more than the phase, because measuring takes time. The exit code is 1 if a limit isn't
kept, or if nothing could be measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from local_emulator.kafka.embedded import EmbeddedBroker  # noqa: E402 # after the path is set

if TYPE_CHECKING:
    from types import ModuleType

ROUNDS = 5
SHOWN_MODULES = 12
BARS = {"entry": 0.5, "initializer": 1.5}
"""The most CPU seconds of each phase."""
LAYERS = ("powertools", "connector", "dependencies")
NAME = "benchmark"
TOPICS = ("orders", *(f"connect-{kind}-{NAME}" for kind in ("offset", "config", "status", "error")))
SETTINGS = {
    "CONNECTOR_NAME": NAME,
    "CONNECTOR_INSTANCE_ID": "alikafka_post-cn-st21p8vj0001",
    "CONNECTOR_SOURCE_TOPIC": "orders",
    "CONNECTOR_ENDPOINT": "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
    "CONNECTOR_PROJECT": "connector_test",
    "CONNECTOR_TABLE": "orders",
    "CONNECTOR_ACCOUNT_ID": "1880000000000000",
}
PROGRAM = """
import os, sys, time
from types import SimpleNamespace
sys.path[:0] = sys.argv[1:]
def note():
    sys.stderr.write("end of a phase\\n")
    return time.process_time(), time.time()
import index
entry, entered = note()
index.initialize(SimpleNamespace(request_id="cold", function=SimpleNamespace(timeout=60)))
both, ended = note()
sys.stdout.write(f"\\n{entry} {entered - float(os.environ['STARTED'])} {both - entry} {ended - entered}")
sys.stdout.flush()
os._exit(0)
"""
"""Prints CPU and wall seconds of the entry, then of the initializer."""
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")


def layers_build() -> ModuleType:
    """Return the program that builds the layers: it knows the runtimes and where their files are."""
    spec = importlib.util.spec_from_file_location("layers_build", ROOT / "layers/build.py")
    assert spec is not None  # noqa: S101 # the file is there
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def start(interpreter: Path, folders: list[Path], servers: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run one cold start; the options go to Python."""
    return subprocess.run(
        [interpreter, "-I", "-S", "-B", *options, "-c", PROGRAM, ROOT / "functions/sink", *folders],
        env={**SETTINGS, "CONNECTOR_BOOTSTRAP_SERVERS": servers, "STARTED": repr(time.time())},
        capture_output=True,
        text=True,
        check=True,
    )


def seconds(ran: subprocess.CompletedProcess[str]) -> list[float]:
    """Return CPU and wall seconds of the entry, then of the initializer."""
    return [float(number) for number in ran.stdout.splitlines()[-1].split()]


def modules(ran: subprocess.CompletedProcess[str]) -> list[list[tuple[float, str]]]:
    """Return milliseconds by package for each phase, the longest first."""
    phases = []
    for text in ran.stderr.split("end of a phase\n")[: len(BARS)]:
        spent: dict[str, float] = defaultdict(float)
        for microseconds, name in _IMPORT.findall(text):
            spent[".".join(name.split(".")[:2])] += int(microseconds) / 1000
        phases.append(sorted(((ms, name) for name, ms in spent.items()), reverse=True)[:SHOWN_MODULES])
    return phases


def report(runtime: str, rounds: list[list[float]], imports: list[list[tuple[float, str]]]) -> bool:
    """Print a runtime's phases and their modules; return whether the limits are kept."""
    least = [min(column) for column in zip(*rounds, strict=True)]
    kept = []
    for (phase, bar), cpu, wall, longest in zip(BARS.items(), least[::2], least[1::2], imports, strict=True):
        kept.append(cpu < bar)
        sign = "" if kept[-1] else "  NOT KEPT"
        print(f"{runtime} {phase:<12} CPU {cpu:5.2f} s (bar: < {bar:g})   wall {wall:5.2f} s{sign}")
        print("".join(f"    {ms:7.1f} ms  {name}\n" for ms, name in longest))
    return all(kept)


def main() -> int:
    """Measure each runtime that can be measured here; return 1 if a limit isn't kept or nothing was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how many processes are measured (%(default)s)")
    rounds, build, kept = parser.parse_args().rounds, layers_build(), []
    broker = EmbeddedBroker(dict.fromkeys(TOPICS, 1))
    try:
        for runtime in build.RUNTIMES:
            interpreter = build.find_interpreter(runtime)
            folders = [build.Layer(name, runtime).stage / "python" for name in LAYERS]
            if interpreter is None:
                print(f"{runtime}: this Python isn't installed here")
            elif not all(folder.is_dir() for folder in folders):
                print(f"{runtime}: the layers aren't built; run: make layers RUNTIME={runtime}")
            else:
                measured = [seconds(start(interpreter, folders, broker.bootstrap_servers)) for _ in range(rounds)]
                traced = start(interpreter, folders, broker.bootstrap_servers, "-X", "importtime")
                kept.append(report(runtime, measured, modules(traced)))
    finally:
        broker.stop()
    return 0 if kept and all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
