"""The sink itself, started from the project's template.yml as a deployment would start it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import fc2
import pytest
from fc2.fc_exceptions import FcError

from local_emulator.control_plane import server
from local_emulator.control_plane.function_compute import deployment
from local_emulator.function_compute import template
from local_emulator.function_compute.surroundings import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
NAME = "maxcompute-sink-kafka-maxcompute-sink"


@pytest.fixture
def misconfigured() -> Iterator[server.ControlPlaneServer]:
    wrong = {"CONNECTOR_MODE": "BOTH", "CONNECTOR_FORMAT": "XML", "CONNECTOR_TABLE": "no table"}
    loaded = template.load(ROOT / "template.yml", wrong)
    with server.start(access_id="test-id", access_key="test-secret", account_id=loaded.account_id) as running:
        running.functions.keys = lambda _: Credentials("test-id", "test-secret")
        deployment.deploy(running, loaded)
        yield running


def test_wrong_settings_fail_the_initializer_with_all_faults(misconfigured: server.ControlPlaneServer) -> None:
    client = fc2.Client(endpoint=misconfigured.url, accessKeyID="test-id", accessKeySecret="test-secret")
    for _ in range(2):  # each time in a fresh instance
        with pytest.raises(FcError) as caught:
            client.invoke_function("any", NAME, payload=b"[]")
        body = json.loads(caught.value.message)
        assert body["errorType"] == "ConfigurationError"
        for variable in ("CONNECTOR_MODE", "CONNECTOR_FORMAT", "CONNECTOR_TABLE"):
            assert variable in body["errorMessage"]
    lines = misconfigured.functions.logs(NAME)
    assert sum(line.startswith("FC Initialize Start") for line in lines) == 2
    assert not any(line.startswith("FC Invoke Start") for line in lines)
    assert not any("test-secret" in line for line in lines)
