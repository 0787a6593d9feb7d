"""The entry points as the runtime calls them, each time in a process of its own; and what loading the file costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_maxcompute import __version__

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / part) for part in ("functions/sink", "layers/connector/python", "layers/powertools/python")]
CONTEXT = """
from types import SimpleNamespace
import sys
context = SimpleNamespace(request_id="r1", function=SimpleNamespace(name="sink", timeout=60))
"""
SETTINGS = {
    "CONNECTOR_NAME": "orders-sink",
    "CONNECTOR_SOURCE_TOPIC": "orders",
    "CONNECTOR_ENDPOINT": "http://127.0.0.1:1/api",
    "CONNECTOR_PROJECT": "p",
    "CONNECTOR_TABLE": "t",
    "CONNECTOR_DELIVERY": "at-least-once",
}
HEAVY = {"odps", "pyarrow", "msgspec", "isal", "requests", "urllib3", "tenacity", "google_crc32c", "maxcompute_sink"}
TIMED = "import resource; used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"


def run(program: str, settings: dict[str, str] | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALIBABA_CLOUD_", "CONNECTOR_"))}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(PATHS), **(settings or {})}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(program: str, settings: dict[str, str] | None = None) -> set[str]:
    told = run(f"{program}\nimport sys; print('loaded', *(name.partition('.')[0] for name in sys.modules))", settings)
    return set(told.rpartition("loaded")[2].split())


def test_loading_the_file_imports_nothing_heavy_and_initialize_all_of_it() -> None:
    assert loaded("import index") & HEAVY == set()
    assert loaded(f"{CONTEXT}import index; index.initialize(context)", SETTINGS) >= HEAVY


def test_loading_the_file_costs_little_beside_starting_python() -> None:
    """CPU time of fresh processes, in turn, the least of several; an import of PyODPS would be ten times the bound."""
    base, ours = [], []
    for _ in range(5):
        base.append(float(run(f"import json, logging\n{TIMED}")))
        ours.append(float(run(f"import json, logging\nimport index\n{TIMED}")))
    assert min(ours) < 2.5 * min(base)


def test_wrong_settings_fail_the_initializer_with_all_faults_and_the_handler_where_it_was_not_called() -> None:
    wrong = SETTINGS | {"CONNECTOR_MODE": "BOTH", "CONNECTOR_TABLE": ""}
    told = run(
        f"""{CONTEXT}
import index
for call in (lambda: index.initialize(context), lambda: index.handler(b"[]", context)):
    try:
        call()
    except Exception as error:
        print("raised", type(error).__name__, len(error.faults))
""",
        wrong,
    )
    assert told.count("raised ConfigurationError 2") == 2


def test_the_handler_makes_what_the_initializer_would_have_made() -> None:
    told = run(
        f"""{CONTEXT}
import index
for _ in range(2):
    try:
        index.handler(b"[]", context)
    except Exception as error:
        print("raised", type(error).__name__, len(index._instances))
""",
        SETTINGS,
    )
    assert told.count("raised CredentialsError 1") == 2


def test_start_and_end_of_an_instance_are_logged_and_the_start_with_the_version() -> None:
    told = run(f"{CONTEXT}import index; index.initialize(context); index.pre_stop(context)", SETTINGS)
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert [line["version"] for line in lines if line["message"] == "instance starts"] == [__version__]
    assert '"message": "instance stops"' in told
    assert '"request_id": "r1"' in told
