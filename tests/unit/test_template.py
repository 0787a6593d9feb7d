"""template.yml against the rules of Function Compute, of fc3 and of the connector, none of which `s deploy` checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kafka_maxcompute.settings.settings import SETTINGS, Settings
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.function_compute import rules
from local_emulator.function_compute.template import Function, load, read, resolve

pytestmark = pytest.mark.quick

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yml"
STREAM_TEMPLATE = TEMPLATE.with_name("template-stream.yml")
COMMANDS = {
    *("alias", "aliases", "build", "concurrency", "deploy", "info", "instance", "invoke", "layer", "list", "local"),
    *("logs", "model", "plan", "provision", "remove", "runit", "s2tos3", "scaling", "session", "skill", "sync"),
    "version",
}
"""The commands of fc3 0.1.22."""


def sink(**environment: str) -> Function:
    return load(TEMPLATE, environment).functions["sink"]


def test_the_names_carry_the_connectors() -> None:
    function = sink(CONNECTOR_NAME="orders-2")
    assert function.name == "maxcompute-sink-orders-2"
    assert function.environment["CONNECTOR_NAME"] == "orders-2"
    source = function.trigger().config["eventSourceConfig"]["eventSourceParameters"]["sourceKafkaParameters"]
    assert source["ConsumerGroup"] == function.environment["CONNECTOR_GROUP"] == "connect-orders-2"


def test_a_template_that_was_read_once_is_resolved_for_each_environment_anew() -> None:
    document = read(TEMPLATE)
    names = [
        resolve(document, TEMPLATE, {"CONNECTOR_NAME": name}, account_id="1").functions["sink"].name
        for name in ("orders", "bills", "orders")
    ]
    assert names == ["maxcompute-sink-orders", "maxcompute-sink-bills", "maxcompute-sink-orders"]
    assert document == read(TEMPLATE)


def test_the_longest_connector_name_fits() -> None:
    assert len(sink(CONNECTOR_NAME="9" * 48).name) == 64


def test_every_setting_is_there_and_the_defaults_are_the_documents() -> None:
    environment = sink(CONNECTOR_BOOTSTRAP_SERVERS="10.0.0.1:9092").environment
    assert set(environment) == {*(f"CONNECTOR_{name.upper()}" for name in SETTINGS), "LOG_LEVEL"}
    assert Settings.from_environment(environment) == Settings.from_mapping(
        {
            "name": "kafka-maxcompute-sink",
            "instance_id": "alikafka_post-cn-st21p8vj0001",
            "source_topic": "maxcompute-test-input",
            "endpoint": "http://service.cn-hangzhou.maxcompute.aliyun-inc.com/api",
            "project": "connector_test",
            "table": "test_kafka",
            "account_id": "1880000000000000",
            "bootstrap_servers": "10.0.0.1:9092",
        }
    )


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_can_be_given_in_the_environment(name: str) -> None:
    variable = f"CONNECTOR_{name.upper()}"
    given = {variable: "6" if name == "concurrency" else "given"}
    expected = {"account_id": "1880000000000000"}.get(name, given[variable])
    assert sink(**given).environment[variable] == expected


def test_the_stream_loses_nothing_and_sees_failures() -> None:
    config = sink().trigger().config
    assert config["asyncInvocationType"] is False
    assert config["triggerEnable"] is True
    run = config["runOptions"]
    assert run["mode"] == config["eventSinkConfig"]["deliveryOption"]["mode"] == "event-streaming"
    assert (run["errorsTolerance"], run["retryStrategy"]) == ("NONE", {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"})
    assert "deadLetterQueue" not in run
    assert config["eventSinkConfig"]["deliveryOption"]["eventSchema"] == "CloudEvents"


def test_the_stream_of_the_emulator_takes_the_trigger() -> None:
    given = {
        "CONNECTOR_CONCURRENCY": "12",
        "BATCH_RECORDS": "100",
        "BATCH_SECONDS": "0",
        "CONNECTOR_CONSUMER_OFFSET": "latest",
    }
    config = StreamConfig.from_trigger(sink(**given).trigger().config)
    assert (config.topic, config.group) == ("maxcompute-test-input", "connect-kafka-maxcompute-sink")
    assert (config.maximum_tasks, config.concurrency) == (12, 12)
    assert (config.batch_count, config.batch_seconds, config.offset_reset) == (100, 0, "latest")


# As in fc3's own samples (its e2e test of eventbridge triggers, its complete-props.yaml): the outer keys begin in lower
# case, those that EventBridge reads in upper case.
TRIGGER_KEYS = {
    "": {
        "triggerEnable",
        "asyncInvocationType",
        "eventRuleFilterPattern",
        "eventSinkConfig",
        "eventSourceConfig",
        "runOptions",
    },
    ".eventSinkConfig": {"deliveryOption"},
    ".eventSinkConfig.deliveryOption": {"mode", "eventSchema", "concurrency"},
    ".eventSourceConfig": {"eventSourceType", "eventSourceParameters"},
    ".eventSourceConfig.eventSourceParameters": {"sourceKafkaParameters"},
    ".eventSourceConfig.eventSourceParameters.sourceKafkaParameters": {
        "RegionId",
        "InstanceId",
        "Topic",
        "ConsumerGroup",
        "OffsetReset",
        "Network",
        "VpcId",
        "VSwitchIds",
        "SecurityGroupId",
    },
    ".runOptions": {"mode", "maximumTasks", "errorsTolerance", "retryStrategy", "batchWindow"},
    ".runOptions.retryStrategy": {"PushRetryStrategy"},
    ".runOptions.batchWindow": {"CountBasedWindow", "TimeBasedWindow"},
}


def test_every_key_of_the_trigger_is_spelled_as_the_service_spells_it() -> None:
    found: dict[str, set[str]] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            found[path] = set(node)
            for key, value in node.items():
                walk(value, f"{path}.{key}")

    network = {"CONNECTOR_VPC_ID": "vpc-a", "CONNECTOR_VSWITCH_ID": "vsw-a", "SECURITY_GROUP_ID": "sg-a"}
    walk(sink(**network).trigger().config, "")
    assert found == TRIGGER_KEYS


def test_the_types_are_those_of_the_schema() -> None:
    config = sink(CONNECTOR_CONCURRENCY="3", BATCH_RECORDS="7").trigger().config
    assert config["eventRuleFilterPattern"] == "{}"
    numbers = [
        config["eventSinkConfig"]["deliveryOption"]["concurrency"],
        config["runOptions"]["maximumTasks"],
        *config["runOptions"]["batchWindow"].values(),
    ]
    assert all(type(number) is int for number in numbers)
    source = config["eventSourceConfig"]["eventSourceParameters"]["sourceKafkaParameters"]
    assert all(type(value) is str for value in source.values())


def test_there_is_one_trigger_and_time_for_a_cold_start_within_its_300_seconds() -> None:
    function = sink()
    (trigger,) = function.triggers
    assert (trigger.type, trigger.qualifier) == ("eventbridge", "LATEST")
    assert function.initializer is not None
    assert function.pre_stop is not None
    assert function.timeout + function.initializer.timeout <= 300
    assert (function.handler, function.initializer.handler, function.pre_stop.handler) == (
        "index.handler",
        "index.initialize",
        "index.pre_stop",
    )


def test_the_layers_are_the_three_of_the_project() -> None:
    assert sink().layers == (
        "kafka-maxcompute-powertools",
        "kafka-maxcompute-connector",
        "kafka-maxcompute-dependencies",
    )
    assert sink(LAYER_CONNECTOR_VERSION="12").layers == sink().layers


def kafka_source(function: Function) -> dict[str, str]:
    return dict(function.trigger().config["eventSourceConfig"]["eventSourceParameters"]["sourceKafkaParameters"])


def test_the_stream_and_the_functions_have_the_groups_and_networks_that_are_given() -> None:
    """A null leaves the key out: fc3 would take an empty vpcConfig for a change at each deploy."""
    absent = {"VpcId", "VSwitchIds", "SecurityGroupId"}
    assert kafka_source(sink()).keys().isdisjoint(absent)
    given = {"CONNECTOR_VPC_ID": "vpc-a", "CONNECTOR_VSWITCH_ID": "vsw-a", "SECURITY_GROUP_ID": "sg-a"}
    source = kafka_source(sink(**given, CONNECTOR_GROUP="mine"))
    assert {name: source[name] for name in sorted(absent)} == {
        "SecurityGroupId": "sg-a",
        "VSwitchIds": "vsw-a",
        "VpcId": "vpc-a",
    }
    assert source["ConsumerGroup"] == "mine"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "auto"),
        ({"LOG_PROJECT": "none"}, None),
        (
            {"LOG_PROJECT": "own", "LOG_STORE": "store"},
            {
                "project": "own",
                "logstore": "store",
                "enableRequestMetrics": True,
                "enableInstanceMetrics": True,
                "logBeginRule": "DefaultRegex",
            },
        ),
    ],
)
def test_logs_go_to_a_project_of_ones_own_to_an_automatic_one_or_to_none(
    given: dict[str, str], expected: object
) -> None:
    for function in load(TEMPLATE, given).functions.values():
        assert function.props.get("logConfig") == expected


def test_the_smaller_template_has_no_trigger_and_is_otherwise_the_same() -> None:
    given = {"CONNECTOR_NAME": "orders", "CONNECTOR_VPC_ID": "vpc-a"}
    whole, smaller = load(TEMPLATE, given).functions, load(STREAM_TEMPLATE, given).functions
    assert smaller["sink"].triggers == ()
    assert smaller["provisioner"] == whole["provisioner"]
    without = {key: value for key, value in whole["sink"].props.items() if key != "triggers"}
    assert {**without, "triggers": []} == smaller["sink"].props


def checked(action: str, folder: Path, variable: str) -> subprocess.CompletedProcess[str]:
    """Run an action as Serverless Devs does: by a shell, in the template's folder."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", variable: "DAY"}
    return subprocess.run(
        ["sh", "-c", action], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_each_deploy_checks_the_variables_and_the_schema(tmp_path: Path) -> None:
    for path in (TEMPLATE, STREAM_TEMPLATE):
        document = read(path)
        (action,) = document["actions"]["pre-deploy"]
        assert "$PYTHON -m deployment check" in action["run"]
        assert checked(action["run"], TEMPLATE.parent, "CONNECTOR_PARTITON").returncode == 1
        assert checked(action["run"], TEMPLATE.parent, "CONNECTOR_PARTITION").returncode == 0
        alone = checked(action["run"], tmp_path, "CONNECTOR_PARTITON")
        assert (alone.returncode, alone.stdout[:28]) == (0, "the variables aren't checked")
        assert action["path"] == "."
        assert document["validation"] is True


def test_no_resource_has_the_name_of_a_command() -> None:
    """Serverless Devs would refuse the resource's commands."""
    assert COMMANDS.isdisjoint(read(TEMPLATE)["resources"])


def test_both_functions_are_in_the_vpc_that_is_named_or_in_none() -> None:
    assert all("vpcConfig" not in function.props for function in load(TEMPLATE, {}).functions.values())
    named = {"CONNECTOR_VPC_ID": "vpc-a", "VSWITCH_IDS": '["vsw-a","vsw-b"]', "SECURITY_GROUP_ID": "sg-a"}
    wanted = {"vpcId": "vpc-a", "vSwitchIds": ["vsw-a", "vsw-b"], "securityGroupId": "sg-a"}
    for function in load(TEMPLATE, named).functions.values():
        assert function.props["vpcConfig"] == wanted


def test_a_deploy_can_keep_the_stream_paused() -> None:
    assert sink(STREAM_ENABLED="false").trigger().config["triggerEnable"] is False


def test_expressions_are_only_those_that_serverless_devs_can_do() -> None:
    """No expression in another and no braces: `s preview` fails on both. The resolver refuses the rest."""
    text = "\n".join(
        line.split(" #")[0] for line in TEMPLATE.read_text(encoding="utf-8").splitlines() if line.strip()[:1] != "#"
    )
    assert text.count("${") == len(re.findall(r"\$\{[^{}]*\}", text))


def test_both_runtimes_of_the_service_can_be_chosen() -> None:
    assert sink().runtime == "python3.10"
    assert sink(RUNTIME="python3.12").runtime in rules.RUNTIMES
