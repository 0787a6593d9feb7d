"""template.yml, deployed into an empty local cloud by Function Compute's own SDK in the order of the component fc3."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_tea_openapi.exceptions import ClientException
from fastcrc import crc64

from local_emulator import cloud, endpoints, local_template
from local_emulator.cli import sql_answers
from local_emulator.control_plane.function_compute.component import sent
from local_emulator.function_compute import archive, layers
from local_emulator.function_compute.rules import RUNTIMES
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from tests.control_plane_clients import refused
from tests.function_code import upload
from tests.kafka_fixtures import APACHE
from tests.stream_clients import eventually, function_compute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alibabacloud_fc20230330.client import Client

    from local_emulator.cloud import Cloud
    from local_emulator.function_compute.template import Function, Template


VARIABLES = {"BATCH_SECONDS": "1", "CONNECTOR_NAME": "by-sdk", "CONNECTOR_SOURCE_TOPIC": "deployed-by-sdk"}


@pytest.fixture(params=["embedded", APACHE])
def running(request: pytest.FixtureRequest, project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.chdir(project_copy)
    kafka = request.param
    if kafka != "embedded":
        kafka = request.getfixturevalue(kafka).bootstrap_servers
    with cloud.start(kafka, VARIABLES, empty=True) as started:
        yield started


@pytest.fixture
def template(running: Cloud) -> Template:
    variables = {**VARIABLES, "STREAM_ENABLED": "false"}
    return local_template.template(local_template.variables(variables, running.endpoints.variables))


def keys(running: Cloud) -> tuple[str, str]:
    return running.endpoints.access_id, running.endpoints.access_key


def packed(folder: Path) -> bytes:
    file = io.BytesIO()
    archive.pack(folder, file)
    return file.getvalue()


def code(running: Cloud, data: bytes) -> models.InputCodeLocation:
    return upload(running.account.plane, data, key=keys(running))


def publish(running: Cloud, client: Client, template: Template, function: Function) -> list[str]:
    """Publish the function's layers, once each; their ARNs."""
    arns = []
    for name, folder in zip(function.layers, layers.folders(function, template.path.parent), strict=True):
        found = client.list_layers(models.ListLayersRequest(prefix=name)).body.layers
        if not found:
            body = models.CreateLayerVersionInput(
                code=code(running, packed(folder.parent)), compatible_runtime=list(RUNTIMES)
            )
            found = [client.create_layer_version(name, models.CreateLayerVersionRequest(body=body)).body]
        arns.append(found[0].layer_version_arn)
    return arns


def put(running: Cloud, client: Client, function: Function, arns: list[str]) -> None:
    """Create the function, or change it; its code is uploaded only if it has changed."""
    config, data = {**sent(function), "layers": arns}, packed(function.code)
    try:
        checksum = client.get_function(function.name, models.GetFunctionRequest()).body.code_checksum
    except ClientException:
        with refused(404, "FunctionNotFound"):
            client.get_function(function.name, models.GetFunctionRequest())
        body = models.CreateFunctionInput().from_map(config)
        body.code = code(running, data)
        client.create_function(models.CreateFunctionRequest(body=body))
        with refused(409, "FunctionAlreadyExists"):
            client.create_function(models.CreateFunctionRequest(body=body))
        return
    assert checksum == str(crc64.xz(data))
    change = models.UpdateFunctionInput().from_map(config)
    client.update_function(function.name, models.UpdateFunctionRequest(body=change))


def ask(client: Client, function: str, **event: Any) -> dict[str, Any]:
    request = models.InvokeFunctionRequest(body=io.BytesIO(json.dumps(event).encode()))
    answer = client.invoke_function(function, request)
    reply: dict[str, Any] = json.loads(answer.body.read())
    assert "x-fc-error-type" not in answer.headers, reply
    return reply


def test_the_template_is_deployed_delivers_and_is_removed(running: Cloud, template: Template) -> None:
    plane, client = running.account.plane, function_compute(running.account.plane, keys(running))
    assert client.list_functions(models.ListFunctionsRequest()).body.functions == []
    for _ in range(2):
        for function in template.functions.values():
            put(running, client, function, publish(running, client, template, function))
    sink, provisioner = (template.functions[name] for name in (local_template.SINK, local_template.PROVISIONER))
    trigger = sink.trigger()
    body = models.CreateTriggerInput(
        trigger_name=trigger.name,
        trigger_type=trigger.type,
        trigger_config=json.dumps(trigger.config),
        qualifier=trigger.qualifier,
        description=trigger.description,
    )
    client.create_trigger(sink.name, models.CreateTriggerRequest(body=body))
    shown = client.get_trigger(sink.name, trigger.name).body.to_map()
    written = {name: shown.get(name) for name in ("triggerName", "triggerType", "qualifier", "description")}
    assert written == {key: value for key, value in body.to_map().items() if key != "triggerConfig"}
    assert json.loads(shown["triggerConfig"]) == trigger.config
    assert not {"targetArn", "httpTrigger"} & {key for key, value in shown.items() if value}

    applied = ask(client, provisioner.name, action="apply", create_table=True)
    assert applied["state"] == "applied", applied
    produce(running.endpoints.kafka, running.endpoints.topic, [Record(None, None, b"k1", b"hello")])
    assert eventually(lambda: rows(running) == [["k1", "hello"]])

    client.delete_trigger(sink.name, trigger.name)
    assert plane.streams.state(running.endpoints.stream) is None
    for function in template.functions.values():
        client.delete_function(function.name)
    for layer in client.list_layers(models.ListLayersRequest()).body.layers:
        client.delete_layer_version(layer.layer_name, str(layer.version))
    assert client.list_functions(models.ListFunctionsRequest()).body.functions == []
    assert client.list_layers(models.ListLayersRequest()).body.layers == []
    assert rows(running) == [["k1", "hello"]]


def rows(running: Cloud) -> list[list[Any]]:
    at: endpoints.Endpoints = running.endpoints
    statement = f"select key, value from {at.table}"  # noqa: S608 - a name out of the template
    with sql_answers.connect(at).execute_sql(statement).open_reader(tunnel=True) as reader:
        return [list(record.values) for record in reader]
