"""The provisioning function as Function Compute loads it: by its file, with its own folder on the path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_maxcompute import __version__

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("functions/provision", "layers/connector/python", "layers/powertools/python")
CONTEXT = "from types import SimpleNamespace as S; context = S(request_id='r', function=S(name='f', timeout=60))\n"


def run(program: str, **environment: str) -> list[str]:
    folders = [str(ROOT / folder) for folder in FOLDERS]
    path = [folder for folder in sys.path if folder.endswith("site-packages")]
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "functions/provision",
        env={"PYTHONPATH": ":".join([*folders, *path]), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()


def test_a_wrong_event_is_answered_with_json_that_has_every_fault() -> None:
    program = f'{CONTEXT}import index; print(\'reply\', index.handler(b\'{{"action": "go", "x": 1}}\', context))'
    (reply,) = [line for line in run(program) if line.startswith("reply ")]
    told = json.loads(reply.removeprefix("reply "))
    assert told["state"] == "refused"
    assert [fault.partition(":")[0] for fault in told["faults"][:2]] == ["x", "action"]
    assert "name isn't set" in told["faults"][2]


def test_the_first_invocation_of_an_instance_logs_the_version() -> None:
    lines = run(f"{CONTEXT}import index; [index.handler(b'[]', context) for _ in range(2)]")
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert [one["version"] for one in told if one["message"] == "instance starts"] == [__version__]


def test_loading_the_file_loads_nothing_heavy() -> None:
    heavy = {"odps", "requests", "pyarrow", "tenacity"}
    (loaded,) = run("import index, sys; print(*sys.modules)")
    assert {name.partition(".")[0] for name in loaded.split()} & heavy == set()


def test_it_never_needs_the_official_sdks() -> None:
    program = "import provisioning.invocation, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    (loaded,) = run(program)
    assert {name for name in loaded.split() if name.startswith(("alibabacloud", "darabonba", "Tea"))} == set()
