"""Versions and aliases of functions, and what is configured beside them, by Function Compute's own SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import fc2
import pytest
from alibabacloud_fc20230330 import models

from local_emulator.control_plane import server
from tests.control_plane_clients import refused
from tests.function_code import create, inline, result, update, zipped
from tests.stream_clients import REGION, function_compute
from tests.stream_settings import trigger as trigger_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alibabacloud_fc20230330.client import Client


@pytest.fixture(scope="module")
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        yield running


@pytest.fixture
def client(plane: server.ControlPlaneServer) -> Iterator[Client]:
    """A client, and a function of which nothing is left afterwards."""
    create(plane, source("first"))
    client = function_compute(plane)
    yield client
    client.delete_function("demo")


def source(text: str) -> bytes:
    return zipped(index=f"def handler(event, context):\n    return {text!r}\n")


def publish(client: Client, description: str = "") -> str:
    request = models.PublishFunctionVersionRequest(body=models.PublishVersionInput(description=description))
    version: str = client.publish_function_version("demo", request).body.version_id
    return version


def name_version(client: Client, name: str, version: str, **weights: float) -> models.Alias:
    body = models.CreateAliasInput(alias_name=name, version_id=version, additional_version_weight=weights)
    return client.create_alias("demo", models.CreateAliasRequest(body=body)).body


def test_versions_and_aliases_keep_what_was_published(plane: server.ControlPlaneServer, client: Client) -> None:
    assert publish(client, "the first") == "1"
    update(plane, code=inline(source("second")))
    assert publish(client) == "2"
    update(plane, code=inline(source("third")), timeout=30)
    assert name_version(client, "prod", "1").version_id == "1"
    assert [result(plane, qualifier=name) for name in ("1", "2", "LATEST", "prod")] == [
        b"first",
        b"second",
        b"third",
        b"first",
    ]
    old = fc2.Client(endpoint=plane.url, accessKeyID="ak", accessKeySecret="sk")
    assert old.invoke_function("any.prod", "demo").data == b"first"
    change = models.UpdateAliasInput(version_id="2", description="now the second")
    client.update_alias("demo", "prod", models.UpdateAliasRequest(body=change))
    assert result(plane, qualifier="prod") == b"second"
    assert client.get_alias("demo", "prod").body.description == "now the second"
    shown = client.get_function("demo", models.GetFunctionRequest(qualifier="1")).body
    assert (shown.timeout, shown.function_arn.rpartition(":")[2]) == (20, "functions/demo/1")

    versions = client.list_function_versions("demo", models.ListFunctionVersionsRequest(limit=1)).body
    assert ([version.version_id for version in versions.versions], versions.next_token) == (["2"], "1")
    with refused(400, "InvalidArgument"):
        client.delete_function_version("demo", "2")
    client.delete_function_version("demo", "1")
    with refused(404, "VersionNotFound"):
        result(plane, qualifier="1")
    assert [alias.alias_name for alias in client.list_aliases("demo", models.ListAliasesRequest()).body.aliases] == [
        "prod"
    ]
    client.delete_alias("demo", "prod")
    with refused(404, "AliasNotFound"):
        result(plane, qualifier="prod")
    assert publish(client) == "3"


def test_weights_of_an_alias_choose_the_version(plane: server.ControlPlaneServer, client: Client) -> None:
    publish(client)
    update(plane, code=inline(source("second")))
    publish(client)
    name_version(client, "all", "1", **{"2": 1.0})
    name_version(client, "none", "1", **{"2": 0.0})
    assert {result(plane, qualifier="all") for _ in range(5)} == {b"second"}
    assert {result(plane, qualifier="none") for _ in range(5)} == {b"first"}
    with refused(409, "AliasAlreadyExists"):
        name_version(client, "all", "1")
    with refused(404, "VersionNotFound"):
        name_version(client, "late", "9")
    for wrong in ("LATEST", "1st"):
        with refused(400, "InvalidArgument"):
            name_version(client, wrong, "1")


def test_configurations_beside_a_function(client: Client, plane: server.ControlPlaneServer) -> None:
    arn = f"acs:fc:{REGION}:{plane.account_id}:functions/demo"
    limit = models.PutConcurrencyConfigRequest(body=models.PutConcurrencyInput(reserved_concurrency=5))
    assert client.put_concurrency_config("demo", limit).body.to_map() == {"functionArn": arn, "reservedConcurrency": 5}
    listed = client.list_concurrency_configs(models.ListConcurrencyConfigsRequest()).body.configs
    assert [each.reserved_concurrency for each in listed] == [5]
    client.delete_concurrency_config("demo")
    assert client.get_concurrency_config("demo").body.reserved_concurrency is None

    with refused(404, "AsyncConfigNotExists"):
        client.get_async_invoke_config("demo", models.GetAsyncInvokeConfigRequest())
    asynchronous = models.PutAsyncInvokeConfigInput(max_async_retry_attempts=2, max_async_event_age_in_seconds=60)
    client.put_async_invoke_config("demo", models.PutAsyncInvokeConfigRequest(body=asynchronous))
    shown = client.get_async_invoke_config("demo", models.GetAsyncInvokeConfigRequest()).body
    assert (shown.max_async_retry_attempts, shown.function_arn) == (2, arn)
    configs = client.list_async_invoke_configs(models.ListAsyncInvokeConfigsRequest(function_name="demo")).body.configs
    assert len(configs) == 1
    client.delete_async_invoke_config("demo", models.DeleteAsyncInvokeConfigRequest())

    scaling = models.PutScalingConfigRequest(body=models.PutScalingConfigInput(min_instances=2))
    assert client.put_scaling_config("demo", scaling).body.current_instances == 2
    client.delete_scaling_config("demo", models.DeleteScalingConfigRequest())
    assert client.get_scaling_config("demo", models.GetScalingConfigRequest()).body.function_arn is None

    put = models.PutProvisionConfigRequest(qualifier="LATEST", body=models.PutProvisionConfigInput(default_target=1))
    assert client.put_provision_config("demo", put).body.target == 1
    with refused(409, "ProvisionConfigExist"):
        client.delete_function("demo")
    client.delete_provision_config("demo", models.DeleteProvisionConfigRequest(qualifier="LATEST"))
    assert client.get_provision_config("demo", models.GetProvisionConfigRequest()).body.function_arn is None
    client.create_vpc_binding("demo", models.CreateVpcBindingRequest(body=models.CreateVpcBindingInput(vpc_id="vpc-1")))
    assert client.list_vpc_bindings("demo").body.vpc_ids == ["vpc-1"]
    client.delete_vpc_binding("demo", "vpc-1")
    with refused(400, "InvalidArgument"):
        wrong = models.PutAsyncInvokeConfigInput(max_async_retry_attempts=9)
        client.put_async_invoke_config("demo", models.PutAsyncInvokeConfigRequest(body=wrong))


def test_a_trigger_and_a_long_timeout_exclude_each_other(client: Client, plane: server.ControlPlaneServer) -> None:
    update(plane, timeout=301)
    body = models.CreateTriggerInput(
        trigger_name="kafka", trigger_type="eventbridge", trigger_config=json.dumps(trigger_config())
    )
    request = models.CreateTriggerRequest(body=body)
    with refused(400, "InvalidArgument") as found:
        client.create_trigger("demo", request)
    assert "timeout: expected a whole number of seconds from 1 to 300, found 301" in str(found.error.message)
    update(plane, timeout=300)
    client.create_trigger("demo", request)
    with refused(400, "InvalidArgument") as found:
        update(plane, timeout=301)
    assert "from 1 to 300, found 301" in str(found.error.message)
    with refused(409, "FunctionNotEmpty"):
        client.delete_function("demo")
    client.delete_trigger("demo", "kafka")
