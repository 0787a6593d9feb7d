"""The provisioner in template.yml: the sink's settings, a role of its own, and no trigger."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_emulator.function_compute.template import Function, load
from provisioning.request import read
from provisioning.resources.policy import PROVISIONER

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yml"


def functions(**environment: str) -> dict[str, Function]:
    return dict(load(TEMPLATE, environment).functions)


def test_both_functions_have_the_same_settings() -> None:
    found = functions(CONNECTOR_NAME="orders", CONNECTOR_TABLE="other", CONNECTOR_BOOTSTRAP_SERVERS="10.0.0.1:9092")
    own = {**found["provisioner"].environment}
    assert own.pop("CONTROL_ENDPOINT") == own.pop("ALLOWED_ADDRESSES") == ""
    assert own == found["sink"].environment
    request = read(b'{"action": "plan"}', found["provisioner"].environment)
    assert (request.function, request.settings.table) == (found["sink"].name, "other")
    assert request.trigger == found["sink"].trigger().name
    source = found["sink"].trigger().config["eventSourceConfig"]["eventSourceParameters"]["sourceKafkaParameters"]
    assert source["ConsumerGroup"] == request.settings.group


def test_it_has_a_role_of_its_own_the_same_layers_and_no_trigger() -> None:
    found = functions()
    provisioner, sink = found["provisioner"], found["sink"]
    assert provisioner.role.endswith(f":role/{PROVISIONER}")
    assert provisioner.layers == sink.layers
    assert provisioner.triggers == ()
    assert (provisioner.handler, provisioner.name) == ("index.handler", "kafka-maxcompute-provisioner")


def test_no_resource_has_the_name_of_a_command_of_the_component() -> None:
    """fc3 0.1.22 takes these for its own commands: `s provision invoke` would not reach a resource of that name."""
    commands = {"build", "deploy", "info", "invoke", "local", "logs", "provision", "plan", "remove", "sync", "version"}
    assert commands & set(functions()) == set()
