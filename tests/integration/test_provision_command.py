"""`python -m provisioning`: the same code on somebody's own machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.provision_cloud import ACCOUNT, Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("functions/provision", "layers/connector/python", "layers/powertools/python")


@pytest.fixture(scope="module")
def around() -> Iterator[Surrounding]:
    with running() as started:
        yield started


def run(around: Surrounding, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {f"CONNECTOR_{name.upper()}": value for name, value in around.settings.items()}
    own = {"PYTHONPATH": ":".join(str(ROOT / folder) for folder in FOLDERS), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", "provisioning", *arguments],
        env={**own, **around.variables(), **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_bootstrap_then_a_plan_that_misses_the_function(around: Surrounding) -> None:
    made = run(around, "bootstrap")
    assert (made.returncode, made.stderr) == (0, "")
    assert json.loads(made.stdout)["state"] == "applied"
    planned = run(around, "plan", '{"create_table": true}')
    assert planned.returncode == 1
    reply = json.loads(planned.stdout)
    assert reply["state"] == "blocked"
    assert reply["faults"] == ["function maxcompute-sink-orders isn't there; deploy it: s deploy -t template.yml"]


def test_the_policy_is_printed_without_a_call(around: Surrounding) -> None:
    around.plane.log.clear()
    printed = json.loads(run(around, "policy", json.dumps({"settings": {"account_id": ACCOUNT}})).stdout)
    assert printed["Version"] == "1"
    assert f"acs:fc:cn-hangzhou:{ACCOUNT}:functions/maxcompute-sink-*" in json.dumps(printed)
    assert list(around.plane.log) == []
    wrong = run(around, "policy", '{"settings": {"mode": "SIDEWAYS"}}')
    assert wrong.returncode == 1
    assert "mode: expected one of" in wrong.stdout


@pytest.mark.parametrize("arguments", [(), ("plan", "{"), ("plan", "[]")])
def test_a_wrong_use(around: Surrounding, arguments: tuple[str, ...]) -> None:
    assert run(around, *arguments).returncode == 2
