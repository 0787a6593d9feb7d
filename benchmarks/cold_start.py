"""Measure a cold start of the sink against limits, on each runtime's Python: run `benchmarks/cold_start.py`.

A fresh process does what Function Compute does before an instance's first batch. It loads index.py: this is the
*entry*, with the start of Python. It then calls the initializer, which imports the rest, checks the settings and
connects to the brokers. The process has only the function's code and the three layers, as `make layers` packs them. The
broker is the local cloud's.

Each number is the least of several processes, because noise only adds time. The files are in the machine's cache: a
real cold start also reads them from a disk or a network. A package's time is that of its own modules, without the
modules that these import, in the process with the least CPU time. The exit code is 1 if a limit isn't kept, or if
nothing could be measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from local_emulator.kafka.embedded import EmbeddedBroker  # noqa: E402 # after the path is set

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

ROUNDS = 5
SHOWN_PACKAGES = 12
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
import json, os, sys, time
from types import SimpleNamespace
bootstrap, modules, inner = sys.modules["_frozen_importlib"], [], [[0.0, 0.0]]
load = bootstrap._load_unlocked
def now():
    return time.process_time(), time.time()
def timed(spec):
    inner.append([0.0, 0.0])
    before = now()
    try:
        return load(spec)
    finally:
        spent = [after - start for after, start in zip(now(), before)]
        modules.append((spec.name, *(all - others for all, others in zip(spent, inner.pop()))))
        inner[-1][:] = [others + all for others, all in zip(inner[-1], spent)]
bootstrap._load_unlocked = timed
sys.path[:0] = sys.argv[1:]
import index
entry, count = now(), len(modules)
index.initialize(SimpleNamespace(request_id="cold", function=SimpleNamespace(timeout=60)))
end, start = now(), (0.0, float(os.environ["STARTED"]))
phases = ((start, entry, modules[:count]), (entry, end, modules[count:]))
print("\\n" + json.dumps([[b[0] - a[0], b[1] - a[1], loaded] for a, b, loaded in phases]))
sys.stdout.flush()
os._exit(0)
"""
"""Prints for each phase CPU seconds, wall seconds, and the modules that it loaded with both."""


@dataclass(frozen=True, slots=True)
class Phase:
    """CPU and wall seconds of a phase; `packages` has both by the first two parts of the modules' names."""

    cpu: float
    wall: float
    packages: Mapping[str, tuple[float, float]]


def layers_build() -> ModuleType:
    """Return the program that builds the layers: it knows the runtimes and where their files are."""
    spec = importlib.util.spec_from_file_location("layers_build", ROOT / "layers/build.py")
    assert spec is not None  # noqa: S101 # the file is there
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def start(interpreter: Path, folders: list[Path], servers: str) -> list[Phase]:
    """Return the phases of one cold start."""
    ran = subprocess.run(
        [interpreter, "-I", "-S", "-B", "-c", PROGRAM, ROOT / "functions/sink", *folders],
        env={**SETTINGS, "CONNECTOR_BOOTSTRAP_SERVERS": servers, "STARTED": repr(time.time())},
        capture_output=True,
        text=True,
        check=True,
    )
    return [Phase(cpu, wall, packages(modules)) for cpu, wall, modules in json.loads(ran.stdout.splitlines()[-1])]


def packages(modules: list[tuple[str, float, float]]) -> dict[str, tuple[float, float]]:
    """Return CPU and wall seconds by package."""
    spent: dict[str, tuple[float, float]] = {}
    for name, cpu, wall in modules:
        package = ".".join(name.split(".")[:2])
        before = spent.get(package, (0.0, 0.0))
        spent[package] = (before[0] + cpu, before[1] + wall)
    return spent


def report(runtime: str, rounds: list[list[Phase]]) -> bool:
    """Print a runtime's phases and their packages; return whether the limits are kept."""
    kept = []
    for (name, bar), measured in zip(BARS.items(), zip(*rounds, strict=True), strict=True):
        least = min(measured, key=lambda phase: phase.cpu)
        wall = min(phase.wall for phase in measured)
        kept.append(least.cpu < bar)
        sign = "" if kept[-1] else "  NOT KEPT"
        print(f"{runtime} {name:<12} CPU {least.cpu:5.2f} s (bar: < {bar:g})   wall {wall:5.2f} s{sign}")
        print("        CPU     wall")
        for package, (cpu, elapsed) in sorted(least.packages.items(), key=lambda item: -item[1][0])[:SHOWN_PACKAGES]:
            print(f"  {cpu * 1000:6.1f} ms {elapsed * 1000:6.1f} ms  {package}")
        print()
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
                measured = [start(interpreter, folders, broker.bootstrap_servers) for _ in range(rounds)]
                kept.append(report(runtime, measured))
    finally:
        broker.stop()
    return 0 if kept and all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
