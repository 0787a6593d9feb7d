"""The variables with which Serverless Devs and the SDKs reach the running local cloud."""

from __future__ import annotations

import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from local_emulator import environment
from local_emulator.endpoints import Endpoints
from local_emulator.function_compute.template import load

pytestmark = pytest.mark.quick

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yml"


def endpoints(**known: object) -> Endpoints:
    return Endpoints(**dict.fromkeys((field.name for field in fields(Endpoints)), "") | known)  # type: ignore[arg-type]


def test_the_template_needs_no_log_service() -> None:
    variables = environment.variables(endpoints(variables={}))
    assert all("logConfig" not in function.props for function in load(TEMPLATE, variables).functions.values())


def test_a_shell_reads_what_is_printed() -> None:
    variables = {"VSWITCH_IDS": '["vsw-1"]', "CONNECTOR_ENDPOINT": "http://127.0.0.1:1/api?a=1&b='$HOME'"}
    at = endpoints(control="http://127.0.0.1:2", access_key="s", variables=variables)
    script = "\n".join([*environment.lines(at), "env -0"])
    ran = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={})
    found = dict(line.split("=", 1) for line in ran.stdout.split("\0") if line)
    assert {name: found[name] for name in environment.variables(at)} == environment.variables(at)
    assert found["VSWITCH_IDS"] == variables["VSWITCH_IDS"]
    assert found["FC_CLIENT_CUSTOM_ENDPOINT"] == found["FC_CODE_TEMP_OSS_ENDPOINT"] == "http://127.0.0.1:2"
    assert Path(found["NODE_OPTIONS"].removeprefix("--require=").strip('"')).is_file()
