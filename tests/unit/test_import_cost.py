"""What a cold start pays for the toolkit and the settings, as a multiple of the interpreter's own start.

CPU time of fresh processes is compared, the least of several each, interleaved; so the machine's load hardly matters,
and the bound is generous. What may not be imported at all is said by name.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.quick

PROGRAM = "import sys; sys.path[:0] = {path!r}\n{imports}\n"
TIMED = "import resource; used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"
LOADED = "print(*sorted({module.partition('.')[0] for module in sys.modules}))"
# A function can't do without these of the standard library; what they cost is no news.
GIVEN = "import json, logging, dataclasses, typing, re, datetime, os"
OURS = ["import fc_powertools", "import kafka_maxcompute.settings.settings, kafka_maxcompute.maxcompute.table"]
HEAVY = {"odps", "pyarrow", "requests", "urllib3", "numpy", "pandas", "msgspec", "asyncio", "http", "ssl", "zoneinfo"}


def run(imports: str) -> str:
    program = PROGRAM.format(path=sys.path, imports=imports)
    command = [sys.executable, "-S", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("imports", OURS)
def test_nothing_heavy_is_imported(imports: str) -> None:
    loaded = set(run(f"{imports}\n{LOADED}").split())
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("imports", OURS)
def test_the_import_costs_less_than_the_interpreters_start(imports: str) -> None:
    base, ours = [], []
    for _ in range(5):
        base.append(float(run(f"{GIVEN}\n{TIMED}")))
        ours.append(float(run(f"{GIVEN}\n{imports}\n{TIMED}")))
    assert min(ours) < 2.5 * min(base)
