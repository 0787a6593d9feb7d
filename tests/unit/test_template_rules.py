"""Expressions of Serverless Devs, and what is refused in a template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_emulator.function_compute.errors import TemplateError
from local_emulator.function_compute.expressions import Resolver
from local_emulator.function_compute.template import load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

DOCUMENT = {
    "vars": {
        "region": "cn-hangzhou",
        "number": 10,
        "later": "${vars.region}-b",
        "loop": "${vars.loop}",
        "deep": {"a": "x"},
    },
    "resources": {"sink": {"props": {"region": "${vars.region}", "code": "here"}}},
}


def resolved(text: str, **environment: str) -> Any:
    resolver = Resolver(DOCUMENT, environment, {"AccountID": "188"})
    value = resolver.resolve(text, "path", "sink")
    assert resolver.faults == []
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${env('SET', 'default')}", "set"),
        ("${env('EMPTY', 'default')}", "default"),
        ("${env('UNSET', 'default')}", "default"),
        ("${env('UNSET', '')}", ""),
        ('${env("UNSET", "it\'s")}', "it's"),
        ("${env('UNSET', 6)}", 6),
        ("${env('NUMBER', 6)}", "12"),
        ("${env('UNSET', '6')}", "6"),
        ("${json(env('NUMBER', '6'))}", 12),
        ("${json(env('UNSET', '6'))}", 6),
        ("a-${env('SET')}-${vars.number}", "a-set-10"),
        ("${vars.number}", 10),
        ("${vars.later}", "cn-hangzhou-b"),
        ("${vars.deep.a}", "x"),
        ("${this.props.region}", "cn-hangzhou"),
        ("${resources.sink.props.code}", "here"),
        ("acs:${config('AccountID')}", "acs:188"),
        ("${ env( 'SET' ) }", "set"),
        ("${env('UNSET', 'a-' + vars.region)}", "a-cn-hangzhou"),
        ("${env('UNSET', config('AccountID'))}", "188"),
        ("${env('SET', '') === 'set' ? 'yes' : 'no'}", "yes"),
        ("${vars.deep}", {"a": "x"}),
        ("<%- vars.number || null %>", 10),
        ("<%- env('EMPTY', '') || 'other' %>", "other"),
        ("<%- env('EMPTY', '') ? vars.number : vars.region === 'b' ? 1 : (vars.number !== 10) %>", False),
        ("<%- env('SET', '') ? vars.deep : null %>", {"a": "x"}),
        ("<%- env('EMPTY', '') ? vars.deep : null %>", None),
    ],
)
def test_an_expression(text: str, expected: object) -> None:
    value = resolved(text, SET="set", EMPTY="", NUMBER="12")
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("${env('UNSET')}", "path[0].key: env('UNSET') is not set and has no default; set it"),
        ("${vars.missing}", "the template has nothing called 'missing' there"),
        ("${vars.number.more}", "the template has nothing called 'more' there"),
        ("${vars.loop}", "vars.loop -> vars.loop leads back to itself"),
        ("${config('Other')}", "known are AccountID"),
        ("${file('./x')}", "isn't understood here; known are env("),
        ("${json(env('UNSET', 'ten'))}", "expected a JSON value such as 10, found 'ten'"),
        ("${env('A', ${env('B', 'b')})}", "can't hold braces or another expression"),
        ("a <%- vars.number %>", "can't hold braces or another expression"),
        ("${vars.number || 'b'}", "isn't understood here"),
        ("${env('A', '') ? 'a' : null}", "is null; write <%- env('A', '') ? 'a' : null %> to leave the key out"),
        ("<%- vars.number.toFixed(2) %>", "isn't understood here"),
        ("<%- vars.number + %>", "isn't understood here"),
        ("<%- (vars.number %>", "isn't understood here"),
        ("<%- vars.number 1 %>", "isn't understood here"),
        ("<%- vars.number & 1 %>", "isn't understood here"),
    ],
)
def test_an_expression_that_cannot_be_resolved_is_a_fault(text: str, fault: str) -> None:
    resolver = Resolver(DOCUMENT, {}, {"AccountID": "188"})
    assert resolver.resolve([{"key": text}], "path", "sink") == [{"key": text}]
    (found,) = resolver.faults
    assert fault in found


GOOD: dict[str, Any] = {
    "region": "cn-hangzhou",
    "functionName": "demo",
    "runtime": "python3.12",
    "code": "code",
    "handler": "index.handler",
}
EVENTBRIDGE = {"triggerName": "a", "triggerType": "eventbridge", "triggerConfig": {"triggerEnable": True}}
TIMER = {"triggerName": "b", "triggerType": "timer", "triggerConfig": {"cronExpression": "@every 1m"}}


def written(folder: Path, **props: Any) -> Path:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code/index.py").touch()
    document = {"edition": "3.0.0", "resources": {"demo": {"component": "fc3", "props": {**GOOD, **props}}}}
    path = folder / "template.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_defaults_are_those_of_fc3(tmp_path: Path) -> None:
    function = load(written(tmp_path), {}).functions["demo"]
    assert (function.timeout, function.memory, function.layers, function.initializer) == (3, 512, (), None)
    assert function.code == tmp_path / "code"
    with pytest.raises(KeyError, match="demo has no trigger of type eventbridge"):
        function.trigger()


@pytest.mark.parametrize(
    ("props", "fault"),
    [
        ({"functionName": "9demo"}, "functionName: expected 1-64"),
        ({"functionName": "x" * 65}, "functionName: expected 1-64"),
        ({"region": ""}, "region: expected a region such as cn-hangzhou"),
        ({"runtime": "python3.11"}, "runtime: expected python3.10 or python3.12, found python3.11"),
        ({"handler": "handler"}, "handler: expected FILE.FUNCTION"),
        ({"handler": "other.handler"}, "code: expected a folder, relative to the template, that holds other.py"),
        ({"code": "elsewhere"}, "code: expected a folder"),
        ({"timeout": "60"}, "timeout: expected a whole number of seconds from 1 to 86400, found '60'"),
        ({"timeout": 0}, "timeout: expected a whole number of seconds from 1 to 86400, found 0"),
        ({"timeout": 301, "triggers": [EVENTBRIDGE]}, "timeout: expected a whole number of seconds from 1 to 300"),
        (
            {"instanceLifecycleConfig": {"initializer": {"handler": "index.initialize", "timeout": 301}}},
            "instanceLifecycleConfig.initializer.timeout: expected a whole number of seconds from 1 to 300",
        ),
        (
            {"instanceLifecycleConfig": {"preStop": {"handler": "pre_stop", "timeout": 91}}},
            "instanceLifecycleConfig.preStop.handler: expected FILE.FUNCTION, found pre_stop",
        ),
        ({"memorySize": 1000}, "memorySize: expected 128 to 32768 in steps of 64, found 1000"),
        ({"memorySize": 512, "cpu": 1}, "cpu: expected 1 to 4 GB of memory per core, found 512 MB for 1"),
        ({"cpu": 17}, "cpu: expected 0.05 to 16, found 17"),
        ({"diskSize": 1024}, "diskSize: expected 512 or 10240, found 1024"),
        ({"layers": ["acs:fc:r:1:layers/a/versions/1"] * 6}, "layers: expected at most 5, found 6"),
        ({"layers": ["kafka"]}, "layers[0]: expected acs:fc:REGION:ACCOUNT:layers/NAME/versions/NUMBER"),
        ({"environmentVariables": {"FC_MINE": "1"}}, "environmentVariables.FC_MINE: expected a name of letters"),
        ({"environmentVariables": {"A-B": "1"}}, "environmentVariables.A-B: expected a name of letters"),
        ({"environmentVariables": {"A": 1}}, "environmentVariables.A: expected text, found int"),
        ({"environmentVariables": {"A": "é" * 2048}}, "expected at most 4096 bytes in all, found 4097"),
        ({"triggers": [{"triggerType": "timer"}]}, "triggers[0].triggerName: missing"),
        ({"triggers": [EVENTBRIDGE, TIMER]}, "triggers[0]: expected the eventbridge trigger as the last one"),
    ],
)
def test_what_the_service_refuses_is_refused(tmp_path: Path, props: dict[str, Any], fault: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(written(tmp_path, **props), {})
    assert all(found.startswith("resources.demo.props.") for found in caught.value.faults)
    assert fault in str(caught.value)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(TemplateError) as caught:
        load(written(tmp_path, runtime="python2", memorySize=1, diskSize=2), {})
    assert len(caught.value.faults) == 3
    assert str(caught.value).startswith(f"{tmp_path / 'template.yml'} has 3 fault(s):\n  - resources.demo.props.")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- a\n", "expected a mapping with edition and resources"),
        ("a: [", "isn't YAML"),
        ("edition: 1.0.0\nresources: {}\n", "edition: expected 3.0.0, found 1.0.0"),
        ("edition: 3.0.0\n", "resources: expected at least one"),
        ("edition: 3.0.0\nresources: {a: {component: fc}}\n", "resources.a.component: expected fc3"),
        ("edition: 3.0.0\nresources: {a: {component: fc3}}\n", "resources.a.props: expected a mapping"),
    ],
)
def test_a_file_that_is_no_template(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "template.yml").write_text(text, encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        load(tmp_path / "template.yml", {})
    assert fault in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="can't be read"):
        load(tmp_path / "template.yml", {})
