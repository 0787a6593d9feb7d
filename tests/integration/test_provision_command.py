"""`python -m provisioning`: the same code on somebody's own machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provisioning.__main__ import main
from tests.provision_cloud import ACCOUNT, Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.embedded import EmbeddedBroker

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("functions/provision", "layers/connector/python", "layers/powertools/python")


@pytest.fixture(scope="module")
def around() -> Iterator[Surrounding]:
    with running() as started:
        yield started


def variables(around: Surrounding) -> dict[str, str]:
    settings = {f"CONNECTOR_{name.upper()}": value for name, value in around.settings.items()}
    return {**around.variables(), **settings}


def run(around: Surrounding, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": ":".join(str(ROOT / folder) for folder in FOLDERS), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", "provisioning", *arguments],
        cwd=folder,
        env={**own, **variables(around)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


NETWORK = {
    "CONNECTOR_VPC_ID": "vpc-local",
    "CONNECTOR_VSWITCH_ID": "vsw-local",
    "VSWITCH_IDS": '["vsw-local"]',
    "SECURITY_GROUP_ID": "sg-local",
}


def test_bootstrap_then_a_plan_that_misses_the_function(around: Surrounding, tmp_path: Path) -> None:
    made = run(around, tmp_path, "bootstrap")
    assert (made.returncode, made.stderr) == (0, "")
    reply = json.loads(made.stdout)
    added = {**NETWORK, "CONNECTOR_BOOTSTRAP_SERVERS": around.broker.bootstrap_servers}
    assert (reply["state"], reply[".env"]) == ("applied", {"added": added, "kept": {}})
    planned = run(around, tmp_path, "plan", '{"create_table": true}')
    assert planned.returncode == 1
    reply = json.loads(planned.stdout)
    assert reply["state"] == "blocked"
    assert reply["faults"] == ["function maxcompute-sink-orders doesn't exist; deploy it: s deploy -t template.yml"]


@pytest.fixture
def with_broker(embedded_kafka: EmbeddedBroker) -> Iterator[Surrounding]:
    with running(embedded_kafka, name="made") as started:
        yield started


def test_make_bootstrap_fills_the_file_that_template_yml_is_read_with(
    with_broker: Surrounding, embedded_kafka: EmbeddedBroker, project_copy: Path
) -> None:
    """Keys and settings stand in the file, one is exported besides, and one of the network is the user's own."""
    around, file = with_broker, project_copy / ".env"
    given = {**variables(around), "SECURITY_GROUP_ID": "sg-own"}
    before = "".join(f"{name}={value}\n" for name, value in given.items())
    file.write_text(before, encoding="utf-8")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CONNECTOR_", "MAKE"))}
    try:
        for added in ({**NETWORK, "CONNECTOR_BOOTSTRAP_SERVERS": embedded_kafka.bootstrap_servers}, {}):
            made = subprocess.run(
                ["make", "bootstrap"],
                cwd=project_copy,
                env={**plain, "CONNECTOR_NAME": "exported"},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert made.returncode == 0, made.stdout + made.stderr
            wanted = {name: value for name, value in added.items() if name != "SECURITY_GROUP_ID"}
            reply = json.loads(made.stdout)
            assert (reply["connector"], reply[".env"]["added"]) == ("exported", wanted)
        assert file.read_text(encoding="utf-8").startswith(before)
        read = subprocess.run(
            ["sh", "-c", ". ./.env; echo $SECURITY_GROUP_ID $VSWITCH_IDS"],
            cwd=project_copy,
            capture_output=True,
            text=True,
            check=True,
        )
        assert read.stdout.split() == ["sg-own", '["vsw-local"]']
    finally:
        file.unlink()


def test_the_policy_is_printed_without_a_call(around: Surrounding, tmp_path: Path) -> None:
    around.plane.log.clear()
    printed = json.loads(run(around, tmp_path, "policy", json.dumps({"settings": {"account_id": ACCOUNT}})).stdout)
    assert printed["Version"] == "1"
    assert f"acs:fc:cn-hangzhou:{ACCOUNT}:functions/maxcompute-sink-*" in json.dumps(printed)
    assert list(around.plane.log) == []
    wrong = run(around, tmp_path, "policy", '{"settings": {"mode": "SIDEWAYS"}}')
    assert wrong.returncode == 1
    assert "mode: expected one of" in wrong.stdout


def test_a_wrong_use_is_the_exit_code(around: Surrounding, tmp_path: Path) -> None:
    assert run(around, tmp_path, "plan", "{").returncode == 2


@pytest.mark.parametrize(
    "arguments", [[], ["plan", "{"], ["plan", "[]"], ["plan", "{}", "{}"], ["plan", '{"action": "apply"}']]
)
def test_a_wrong_use(arguments: list[str]) -> None:
    assert main(arguments) == 2
