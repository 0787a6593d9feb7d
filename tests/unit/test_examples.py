"""The examples for Terraform, monitoring and pipelines agree with the code that they are about."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from kafka_maxcompute.settings.settings import SETTINGS
from provisioning.resources import event_stream, role, service_linked_roles, topics
from tests.documents import metrics

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = (ROOT / "examples/terraform/main.tf").read_text(encoding="utf-8")
PIPELINE = (ROOT / "examples/pipelines/github-actions.yml").read_text(encoding="utf-8")
ALARMS = (ROOT / "examples/monitoring/main.tf").read_text(encoding="utf-8")
CHARTS = json.loads((ROOT / "examples/monitoring/dashboard.json").read_text(encoding="utf-8"))
KINDS = {"counter": "counters", "gauge": "gauges", "timing": "timings"}


def test_the_topics_are_those_of_apply() -> None:
    rows = re.findall(
        r'"connect-([a-z-]+)-\$\{var\.name}"\s*=\s*\{ purpose = "([a-z-]+)", partitions = (\d+), compacted = (\w+) }',
        TERRAFORM,
    )
    # By default dead letters of both kinds go into one topic.
    assert SETTINGS["dead_letter_topic"].derived == "{error_topic}"
    wanted = {purpose: count for purpose, count in topics.PARTITIONS.items() if purpose != "dead-letter"}
    assert {purpose: int(count) for _, purpose, count, _ in rows} == wanted
    assert {purpose for _, purpose, _, compacted in rows if compacted == "true"} == set(topics.LOCAL)
    for name, purpose, _, _ in rows:
        assert SETTINGS[f"{purpose}_topic"].derived == f"connect-{name}-{{name}}"


def test_roles_and_their_services_are_those_of_apply() -> None:
    quoted = set(re.findall(r'"([a-z-]+\.(?:eventbridge\.)?aliyuncs\.com)"', TERRAFORM))
    assert quoted == {*role.TRUSTED, *service_linked_roles.NEEDED.values()}


def test_the_event_stream_has_the_fields_of_apply() -> None:
    """Every field that the provisioner's stream has, in the same spelling, and no other."""
    source = Path(event_stream.__file__).read_text(encoding="utf-8")
    field = re.compile(r"[A-Z][A-Za-z]+")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    sent = {
        key.value
        for function in functions
        if function.name in {"_definition", "_run_options", "_constant"}
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and field.fullmatch(str(key.value))
    }
    stream = TERRAFORM.partition('resource "alicloud_event_bridge_event_streaming"')[2].partition("depends_on")[0]
    written = set(re.findall(r"\b([A-Z][A-Za-z]+)\s*=", stream))
    assert written == sent - {"Description", "FilterPattern", "Source", "Sink", "RunOptions"}


def test_the_pipeline_runs_targets_and_actions_that_exist() -> None:
    jobs = yaml.safe_load(PIPELINE)["jobs"]
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([a-z-]+)", commands)
    assert targets == ["quick", "deploy"]
    assert all(re.search(rf"^{target}:.*## ", makefile, re.MULTILINE) for target in targets)
    assert [json.loads(event)["action"] for event in re.findall(r"-e '(.*?)'", commands)] == ["plan", "status"]
    assert "make deploy YES=1" in commands  # nothing asks


def queries() -> list[str]:
    alarms = re.findall(r'query\s*=\s*"((?:[^"\\]|\\.)*)"', ALARMS)
    return [chart["search"]["query"] for chart in CHARTS] + [text.replace('\\"', '"') for text in alarms]


@pytest.mark.parametrize("query", queries())
def test_a_query_names_metrics_and_messages_that_the_sink_writes(query: str) -> None:
    known = {f"metrics.{KINDS[kind]}.{name}" for name, (kind, _) in metrics().items()}
    known |= {f"{name}.sum" for name in known if name.startswith("metrics.timings.")}
    named = set(re.findall(r'"(metrics\.[^"]+)"', query))
    assert named <= known
    for message in re.findall(r'message: "([^"]+)"', query):
        assert any(repr(message)[1:-1] in text or message in text for text in logged())
    assert named or re.search(r"message: \"|level: ", query)


def logged() -> list[str]:
    """The texts of the sink's log calls."""
    return [
        str(call.args[0].value)
        for top in ("functions/sink", "layers")
        for path in (ROOT / top).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)
    ]
